"""The pages in docs say what is true: their tables are complete, their commands run, their outputs are real."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from deskhand.config import Taxonomy, WorkspaceConfig, load_toml
from deskhand.helpdesk_settings import (
    DjangoHelpdeskSettings,
    EmailSettings,
    FolderSettings,
    StandardWebhooksSettings,
)
from deskhand.testing import build_workspace
from deskhand.tickets import Ticket
from deskhand_agents.reasons import REASONS
from deskhand_memory import Article, load_articles
from deskhand_tools import Policy
from deskhand_tools.policy import _PolicyFile

DOCS = Path(__file__).resolve().parents[2] / "docs"
FILES = {"deskhand.toml": WorkspaceConfig, "taxonomy.toml": Taxonomy, "policy.toml": _PolicyFile}


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def section(text: str, title: str) -> str:
    """Return what stands under a heading of the second level."""
    return re.split(r"^## ", text.split(f"\n## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def table(text: str) -> list[list[str]]:
    """Return the cells of every row whose first cell is one code word."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| `[\w.]+` \|", line)]
    return [[cell.strip() for cell in row] for row in rows]


# reasons.md


def test_the_reasons_are_those_of_the_code_in_its_order() -> None:
    rows = {row[0].strip("`"): row[1] for row in table(page("reasons.md"))}
    assert list(rows.items()) == list(REASONS.items()), "bring docs/reasons.md in line with REASONS"


def test_each_reason_says_what_to_do() -> None:
    assert [row for row in table(page("reasons.md")) if len(row) != 3 or len(row[2].split()) < 3] == []


# workspace.md


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every key of a model, and of the tables in it, in its lists, and (as ``NAME``) in its dicts."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        nested = [kind, *getattr(kind, "__args__", ())]
        inner = next((part for part in nested if isinstance(part, type) and issubclass(part, BaseModel)), None)
        key = prefix + (field.alias or name)
        if inner is None or inner is not kind:
            yield key, field
        if inner is not None:
            yield from fields(inner, f"{key}.NAME." if getattr(kind, "__origin__", None) is dict else f"{key}.")


@pytest.mark.parametrize("file", FILES)
def test_every_key_of_a_file_is_on_the_page(file: str) -> None:
    rows = {row[0].strip("`") for row in table(section(page("workspace.md"), file))}
    assert rows == {key for key, _ in fields(FILES[file])}


# service.md

KINDS = {
    "standard-webhooks": StandardWebhooksSettings,
    "django-helpdesk": DjangoHelpdeskSettings,
    "email": EmailSettings,
    "folder": FolderSettings,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_a_helpdesk_is_on_the_page_with_its_default(kind: str) -> None:
    shared, *own = re.split(r"^### ", section(page("service.md"), "Sources"), flags=re.MULTILINE)
    (its,) = (text for text in own if text.startswith(f"{kind}\n"))
    rows = {key.strip("`"): default for key, default, _ in table(shared) + table(its)}
    known = {name: field for name, field in KINDS[kind].model_fields.items() if name != "kind"}
    assert set(rows) == set(known)
    for name, default in rows.items():
        value = known[name].default
        assert (default == "-") == known[name].is_required(), name
        assert default == "-" or toml(default) == (list(value) if isinstance(value, tuple) else value), name


def test_every_metric_is_on_the_page_and_alerts_use_no_other() -> None:
    from deskhand_server.metrics import Metrics

    text = section(page("service.md"), "What to watch")
    there = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name for metric in Metrics().registry.collect()
    }
    assert {row[0].strip("`") for row in table(text)} == there
    assert set(re.findall(r"deskhand_\w+", text.split("```yaml")[1])) <= there


def toml(cell: str) -> Any:
    value = cell.strip("`")
    return None if value == "null" else tomllib.loads(f"value = {value}")["value"]


@pytest.mark.parametrize("file", FILES)
def test_defaults_and_examples_are_right(file: str) -> None:
    known = dict(fields(FILES[file]))
    for key, _, default, example, _ in table(section(page("workspace.md"), file)):
        field = known[key.strip("`")]
        assert (default == "-") == field.is_required(), key
        if default != "-":
            value = field.default
            assert toml(default) == (list(value) if isinstance(value, tuple) else value), key
        kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        assert TypeAdapter(kind).validate_python(toml(example)) is not None


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The TOML files of the page, each under the name in its first line."""
    for block in re.findall(r"```toml\n(.*?)```", page("workspace.md"), re.DOTALL):
        (tmp_path / block.splitlines()[0].strip("# ")).write_text(block)
    return tmp_path


def test_the_toml_files_load_and_hold_every_key(written: Path) -> None:
    for name, model in FILES.items():
        load_toml(written / name, model)
        keys = {key.rpartition(".")[2] for key, _ in fields(model)}
        text = (written / name).read_text()
        assert {key for key in keys if not re.search(rf"\b{key}\b", text)} == set()
    assert [rule.tool for rule in Policy.load(written / "policy.toml").rules] == ["add_tag", "refund_order"]


def test_every_key_of_an_article_is_on_the_page_and_the_example_loads(tmp_path: Path) -> None:
    text = section(page("workspace.md"), "Articles")
    named = set(re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in text.splitlines() if "|" in line)))
    assert named == set(Article.model_fields) - {"text"}
    (tmp_path / "example.md").write_text(re.search(r"```markdown\n(.*?)```", text, re.DOTALL)[1])  # type: ignore[index]
    (article,) = load_articles(tmp_path / "example.md")
    assert (article.id, article.version, article.products) == ("return-window", 2, ("nook", "shelf"))


# tickets.md and every other page with commands


class Command(NamedTuple):
    lines: str
    exit_code: int
    output: str | None


_BLOCK = re.compile(r"((?:<!--[^\n]*-->\n)?)```sh\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.DOTALL)


def commands(text: str) -> list[Command]:
    """Return the blocks of a page that are run; one that is marked as not run must say why."""
    found = []
    for mark, lines, output in _BLOCK.findall(text):
        if "not run" in mark:
            assert re.search(r"not run: \w+", mark), f"say why it is not run: {lines}"
            continue
        code = re.search(r"exit (\d+)", mark)
        found.append(Command(lines, int(code[1]) if code else 0, output))
    return found


def run_all(blocks: list[Command], folder: Path) -> list[tuple[int, str]]:
    """Run blocks in one shell, so that its variables stay, and return exit code and output of each."""
    script = "".join(f"{block.lines}\nprintf '\\n@@%d@@' $?\n" for block in blocks)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"exec 2>&1\n{script}"],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )
    return [(int(code), output) for output, code in re.findall(r"(.*?)\n@@(\d+)@@", done.stdout, re.DOTALL)]


def plain(output: str) -> str:
    """Leave out what differs from run to run."""
    without_ids = re.sub(r"\brun-[\w.]+", "run-...", re.sub(r"\b[0-9a-f]{64}\b", "<key>", output))
    return "\n".join(line.strip() for line in without_ids.strip().splitlines())


@pytest.mark.parametrize("name", sorted(path.name for path in DOCS.glob("*.md") if "```sh" in path.read_text("utf-8")))
def test_the_commands_of_a_page_run_and_print_what_it_shows(name: str, tmp_path: Path) -> None:
    blocks = commands(page(name))
    results = run_all(blocks, build_workspace(tmp_path / "workspace"))
    assert len(results) == len(blocks)
    for block, (code, output) in zip(blocks, results, strict=True):
        assert code == block.exit_code, f"{block.lines}\n{output}"
        assert plain(output) == plain(block.output or ""), block.lines


def test_the_tickets_of_the_page_have_what_they_say() -> None:
    small, full = (json.loads(text) for text in re.findall(r"<<'END'\n(.*?)END", page("tickets.md"), re.DOTALL))
    required = {name for name, field in Ticket.model_fields.items() if field.is_required()}
    assert set(small) == required
    assert set(full) == set(Ticket.model_fields)
    Ticket.model_validate(full)


# hollowfern.md


@pytest.fixture(scope="module")
def refresh() -> types.ModuleType:
    """The script beside the page."""
    spec = importlib.util.spec_from_file_location("refresh", DOCS / "refresh.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_texts_of_tickets_are_verbatim(example: Path) -> None:
    shown = re.findall(r"^### (HFT-\d+).*?\n\n((?:^>[^\n]*\n)+)", page("hollowfern.md"), re.MULTILINE | re.DOTALL)
    assert len(shown) >= 16
    for ticket_id, quoted in shown:
        ticket = Ticket.model_validate_json((example / "tickets" / "incoming" / f"{ticket_id}.json").read_text("utf-8"))
        text = " ".join(ticket.customer_text().split())
        pieces = re.sub(r"^> ?", "", quoted, flags=re.MULTILINE).split("[...]")
        assert [piece for piece in pieces if " ".join(piece.split()) not in text] == [], ticket_id


def test_what_deskhand_does_with_the_tickets_is_as_the_page_says(refresh: types.ModuleType) -> None:
    before = page("hollowfern.md")
    assert refresh.refresh(before).splitlines() == before.splitlines(), "run python docs/refresh.py and read the diff"


def test_links_between_pages_lead_somewhere() -> None:
    for path in DOCS.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
