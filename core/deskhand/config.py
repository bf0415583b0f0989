"""The workspace: finding it, and reading its ``deskhand.toml`` and ``taxonomy.toml``."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from deskhand.errors import ConfigError, InputError
from deskhand.helpdesk_settings import HelpdeskSettings
from deskhand.jsonio import first_problem, read_text
from deskhand.model_settings import ModelsSettings
from deskhand.schema import Model
from deskhand.service_settings import RunsSettings, ServerSettings
from deskhand.settings import Settings
from deskhand.tickets import ShortText

CONFIG_NAME = "deskhand.toml"
STATE_NAME = ".deskhand"
M = TypeVar("M", bound=Model)
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Attribute = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class Brand(Model):
    """How replies sound: ``greetings`` by language, with ``{name}`` for the customer's name."""

    name: ShortText
    signature: ShortText = ""
    greetings: dict[Language, str] = {"en": "Hello {name},"}
    nameless_greetings: dict[Language, str] = {"en": "Hello,"}

    @field_validator("greetings")
    @classmethod
    def _only_name(cls, greetings: dict[str, str]) -> dict[str, str]:
        if any(_placeholders(text) - {"{name}"} for text in greetings.values()):
            raise ValueError("only {name} may stand in a greeting")
        return greetings

    @field_validator("nameless_greetings")
    @classmethod
    def _no_name(cls, greetings: dict[str, str]) -> dict[str, str]:
        if any(_placeholders(text) for text in greetings.values()):
            raise ValueError("nothing in braces may stand in a nameless greeting")
        return greetings


def _placeholders(text: str) -> set[str]:
    """Return what stands in braces, as written; a single brace is one too."""
    return set(re.findall(r"\{[^{}]*\}|[{}]", text))


class MemorySettings(Model):
    """Retrieval from knowledge."""

    top_k: Annotated[int, Field(ge=1, le=50)] = 8
    min_similarity: Annotated[float, Field(ge=-1, le=1)] = 0.30
    audience: Literal["public", "internal"] = "public"


class TriageSettings(Model):
    """The classifier that works from labelled tickets. ``target`` is the accuracy its certificate must guarantee."""

    neighbours: Annotated[int, Field(ge=1, le=100)] = 20
    target: Annotated[float, Field(gt=0, lt=1)] = 0.97


class OrderSettings(Model):
    """The order database that read tools may look into, relative to the workspace."""

    database: str | None = None


class ToolSettings(Model):
    """``own`` adds tools of the workspace's own Python: each names a Tool or a list of them."""

    own: tuple[Attribute, ...] = ()


class GraphSettings(Model):
    """``default`` is run when none is named; ``own`` adds graphs as ``name = "module:attribute"``."""

    default: Name = "support"
    own: dict[Name, Attribute] = {}


class WorkspaceConfig(Model):
    """``deskhand.toml``. ``mode = "shadow"`` runs everything and writes nothing back."""

    schema_version: Literal[1] = Field(alias="schema")
    mode: Literal["review", "shadow"] = "review"
    brand: Brand
    memory: MemorySettings = MemorySettings()
    triage: TriageSettings = TriageSettings()
    orders: OrderSettings = OrderSettings()
    tools: ToolSettings = ToolSettings()
    graphs: GraphSettings = GraphSettings()
    models: ModelsSettings = ModelsSettings()
    helpdesks: dict[Name, HelpdeskSettings] = {}
    runs: RunsSettings = RunsSettings()
    server: ServerSettings = ServerSettings()


class Category(Model):
    """One thing a ticket may be about. ``description`` is what the classifier reads when there are no examples."""

    id: Name
    name: ShortText
    description: ShortText
    team: Name | None = None


class Team(Model):
    """Who answers."""

    id: Name
    name: ShortText
    description: ShortText = ""


class Taxonomy(Model):
    """``taxonomy.toml``: the categories and teams of a workspace."""

    schema_version: Literal[1] = Field(alias="schema")
    category: tuple[Category, ...] = ()
    team: tuple[Team, ...] = ()

    @model_validator(mode="after")
    def _references(self) -> Taxonomy:
        for table, entries in (("category", self.category), ("team", self.team)):
            repeated = [name for name, n in Counter(entry.id for entry in entries).items() if n > 1]
            if repeated:
                raise ValueError(f"{table} {repeated[0]!r} stands there twice; remove one")
        teams = {team.id for team in self.team}
        for category in self.category:
            if category.team and teams and category.team not in teams:
                raise ValueError(f"category {category.id!r} names the team {category.team!r}, which is not in [[team]]")
        return self

    def team_of(self, category_id: str | None) -> str | None:
        """Return the team of a category, or None."""
        return next((category.team for category in self.category if category.id == category_id), None)


@dataclass(frozen=True)
class WorkspaceFolder:
    """A workspace on disk: where its parts are, and its checked configuration."""

    root: Path

    @property
    def knowledge(self) -> Path:
        """The folder of articles."""
        return self.root / "knowledge"

    @property
    def incoming(self) -> Path:
        """The folder of tickets to answer."""
        return self.root / "tickets" / "incoming"

    @property
    def labelled(self) -> Path:
        """Labelled tickets, JSONL."""
        return self.root / "tickets" / "labelled.jsonl"

    @property
    def state(self) -> Path:
        """The folder of everything that deskhand itself writes."""
        return self.root / STATE_NAME

    @property
    def recordings(self) -> Path:
        """The folder of recordings, one file per run."""
        return self.state / "recordings"

    @cached_property
    def config(self) -> WorkspaceConfig:
        """``deskhand.toml``. Raises ConfigError."""
        return load_toml(self.root / CONFIG_NAME, WorkspaceConfig)

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """``taxonomy.toml``; empty when the file is missing. Raises ConfigError."""
        path = self.root / "taxonomy.toml"
        return load_toml(path, Taxonomy) if path.exists() else Taxonomy(schema=1)

    @property
    def ledger(self) -> Path:
        """The database of what models cost."""
        return self.state / "ledger.db"

    @property
    def orders(self) -> Path | None:
        """The order database, or None when none is configured. Raises ConfigError when it is missing."""
        if self.config.orders.database is None:
            return None
        path = self.root / self.config.orders.database
        if not path.is_file():
            raise ConfigError(
                f"{self.root / CONFIG_NAME}: orders.database: no file {path}; correct the name or remove the key"
            )
        return path


def find_workspace(explicit: Path | None = None) -> WorkspaceFolder:
    """Return the workspace named, or by ``DESKHAND_WORKSPACE``, or the one around the current folder.

    Raises:
        ConfigError: There is none, or the folder named has no ``deskhand.toml``.
    """
    named = explicit or Settings().workspace
    if named is not None:
        if not (named / CONFIG_NAME).is_file():
            raise ConfigError(
                f"{named}: no {CONFIG_NAME} there; name a workspace or make one with 'deskhand init {named}'"
            )
        return WorkspaceFolder(named.resolve())
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / CONFIG_NAME).is_file():
            return WorkspaceFolder(folder)
    raise ConfigError(
        f"no {CONFIG_NAME} in {here} or above it; make a workspace with 'deskhand init', or name one with --workspace"
    )


def load_toml(path: Path, model: type[M], *, then: str = "run 'deskhand config check'") -> M:
    """Return a TOML file as ``model``. Raises ConfigError naming the file, the key, the value and the next step."""
    try:
        values: dict[str, Any] = tomllib.loads(read_text(path))
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise ConfigError(f"{path}: not valid TOML: {exc}; correct it and {then}") from exc
    except InputError as exc:
        raise ConfigError(str(exc)) from exc
    if isinstance(values.get("schema"), int) and values["schema"] > 1:
        raise ConfigError(
            f"{path}: schema = {values['schema']} is newer than this deskhand knows (1); upgrade deskhand"
        )
    try:
        return model.model_validate(values)
    except ValidationError as exc:
        raise ConfigError(f"{path}: {first_problem(exc)}; correct it and {then}") from exc
