from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from deskhand.attributes import load_attribute
from deskhand.config import WorkspaceFolder
from deskhand.errors import ConfigError
from deskhand.testing import build_ticket, build_workspace
from deskhand_agents import DescriptionsTriage
from deskhand_graphs import Workspace, memory_saver
from deskhand_graphs.results import to_json


def write_graphs(workspace: Path, code: str, name: str = "odd") -> Workspace:
    (workspace / f"{name}_graphs.py").write_text(code)
    config = workspace / "deskhand.toml"
    config.write_text(config.read_text() + f'\n[graphs.own]\n{name} = "{name}_graphs:build"\n')
    return Workspace.open(WorkspaceFolder(workspace))


def test_a_graph_that_is_not_one_is_refused(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = write_graphs(workspace, "def build(workspace):\n    return 3\n")
    with pytest.raises(ConfigError, match=r"graphs.own.odd: gave a int"):
        opened.graph("odd")


def test_a_graph_that_fails_to_build_is_named(workspace: Path) -> None:
    (workspace / "broken_graphs.py").write_text("def build(workspace):\n    raise KeyError('x')\n")
    config = workspace / "deskhand.toml"
    config.write_text(config.read_text() + '\n[graphs.own]\nbroken = "broken_graphs:build"\n')
    with pytest.raises(ConfigError, match=r"graphs.own.broken: .*KeyError"):
        Workspace.open(WorkspaceFolder(workspace)).graph("broken")


def test_a_graph_is_built_and_compiled_once_and_each_copy_has_its_own_saver(workspace: Path) -> None:
    code = (
        "from langgraph.graph import START, StateGraph\n"
        "calls = []\n"
        "def build(workspace):\n"
        "    calls.append(workspace)\n"
        "    graph = StateGraph(dict)\n"
        "    graph.add_node('one', lambda state: state)\n"
        "    graph.add_edge(START, 'one')\n"
        "    return graph\n"
    )
    opened = write_graphs(workspace, code, "counted")
    savers = [memory_saver(), memory_saver()]
    compiled = [opened.compiled("counted", saver) for saver in savers]
    assert [graph.checkpointer for graph in compiled] == savers
    assert opened.compiled("counted").checkpointer is None
    assert compiled[0].nodes["one"] is compiled[1].nodes["one"]
    assert len(load_attribute("counted_graphs:calls", workspace, key="")) == 1


def test_without_labelled_tickets_descriptions_decide(tmp_path: Path) -> None:
    folder = build_workspace(tmp_path / "workspace", labelled=())
    workspace = Workspace.open(WorkspaceFolder(folder))
    workspace.learn()
    assert isinstance(workspace.triage.steps[0].strategy, DescriptionsTriage)


def test_an_unknown_helpdesk_is_named(workspace: Path) -> None:
    with pytest.raises(ConfigError, match="source 'zendesk'"):
        Workspace.open(WorkspaceFolder(workspace)).helpdesk("zendesk")


def test_any_state_becomes_json() -> None:
    value = {"day": date(2026, 11, 20), "ticket": build_ticket(), "odd": object(), "pair": (1, 2)}
    plain = to_json(value)
    assert isinstance(plain, dict)
    assert plain["day"] == "2026-11-20"
    assert plain["pair"] == [1, 2]
    assert isinstance(plain["odd"], str)
