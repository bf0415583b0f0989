from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deskhand_cli.commands.schema import _WHERE


def test_help_of_every_command_has_an_example(invoke) -> None:
    commands = [["init"], ["demo"], ["run"], ["ask"], ["digest"], ["costs"], ["doctor"], ["schema"]]
    groups = {
        "review": ["list", "show", "approve", "edit", "reject", "retry"],
        "runs": ["list", "show", "retry", "skip", "cancel", "replay"],
        "memory": ["ingest", "search", "evaluate", "check", "rebuild"],
        "triage": ["evaluate"],
        "models": ["list", "check"],
        "prompts": ["list", "diff", "rollback"],
        "graph": ["show"],
        "config": ["check"],
    }
    commands += [[group, name] for group, names in groups.items() for name in names]
    for command in commands:
        text = invoke(*command, "--help").stdout
        assert f"Example: deskhand {' '.join(command)}" in text.replace("\n", " "), command


def test_version_is_printed(invoke) -> None:
    assert invoke("--version").stdout.startswith("deskhand 0.")


def test_init_makes_a_valid_empty_workspace(invoke, tmp_path: Path) -> None:
    folder = tmp_path / "acme-support"
    assert invoke("init", folder).exit_code == 0
    assert invoke("config", "check", "--workspace", folder).exit_code == 0
    assert list((folder / "knowledge").iterdir()) == []
    again = invoke("init", folder)
    assert (again.exit_code, "already" in again.stderr) == (2, True)


def test_a_ticket_runs_in_a_new_empty_workspace(invoke, tmp_path: Path, ticket_file: Path) -> None:
    invoke("init", tmp_path / "new")
    done = invoke("run", "--ticket", ticket_file, "--json", "--workspace", tmp_path / "new")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["triage"]["category"] is None


def test_init_where_a_file_is_in_the_way_is_refused(invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert invoke("init", tmp_path / "file" / "deeper").exit_code == 1


def test_config_check_names_every_problem(invoke, workspace: Path) -> None:
    (workspace / "policy.toml").write_text("schema = 1\n[[rule]]\ntool = 3\n")
    (workspace / "tickets" / "labelled.jsonl").write_text('{"text": "x", "label": "nonsense"}\n')
    done = invoke("config", "check", "--json", "--workspace", workspace)
    problems = json.loads(done.stdout)["problems"]
    assert done.exit_code == 2
    assert any("policy.toml" in problem for problem in problems)
    assert any("nonsense" in problem for problem in problems)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("schema = 2\n", "newer"),
        ("schema = \n", "not valid TOML"),
        ('schema = 1\n[brand]\nname = "A"\ncolour = "red"\n', "colour"),
        ('schema = 1\n[brand]\nname = "A"\n[orders]\ndatabase = "none.db"\n', "orders.database"),
        ('schema = 1\n[brand]\nname = "A"\n[graphs.own]\nmine = "nowhere:build"\n', "nowhere"),
    ],
)
def test_a_wrong_configuration_names_the_key(invoke, workspace: Path, toml: str, said: str) -> None:
    (workspace / "deskhand.toml").write_text(toml)
    done = invoke("config", "check", "--workspace", workspace)
    assert done.exit_code == 2
    assert said in done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(_WHERE))
def test_every_schema_is_printed(invoke, name: str) -> None:
    assert json.loads(invoke("schema", name).stdout)["type"] == "object"


def test_an_unknown_schema_names_those_there_are(invoke) -> None:
    done = invoke("schema", "tickets")
    assert (done.exit_code, "ticket, event" in done.stderr) == (2, True)


def test_memory_is_ingested_searched_and_checked(invoke, workspace: Path) -> None:
    first = json.loads(invoke("memory", "ingest", "--json", "--workspace", workspace).stdout)
    second = json.loads(invoke("memory", "ingest", "--json", "--workspace", workspace).stdout)
    assert (first["added"], second["added"], second["unchanged"]) == (2, 0, 2)
    found = invoke("memory", "search", "return a product", "--json", "--workspace", workspace).stdout
    assert json.loads(found)[0]["source_id"] == "returns"
    assert invoke("memory", "check", "--workspace", workspace).exit_code == 0
    assert invoke("memory", "rebuild", "--workspace", workspace).exit_code == 0
    nothing = invoke("memory", "search", "zzz qqq", "--workspace", workspace)
    assert "nothing found" in nothing.stderr


def test_the_graph_is_drawn_three_ways(invoke, workspace: Path) -> None:
    assert "review?" in invoke("graph", "show", "--workspace", workspace).stdout
    assert "graph TD" in invoke("graph", "show", "--mermaid", "--workspace", workspace).stdout
    edges = json.loads(invoke("graph", "show", "--json", "--workspace", workspace).stdout)["edges"]
    assert {"from": "triage", "to": "gather", "conditional": False} in edges


def test_doctor_is_content_with_a_good_workspace(invoke, workspace: Path) -> None:
    done = invoke("doctor", "--json", "--workspace", workspace)
    findings = json.loads(done.stdout)
    assert done.exit_code == 0, findings
    assert {finding["check"] for finding in findings} >= {
        "python",
        "sqlite",
        "encoder",
        "languages",
        "configuration",
        "disk",
    }


def test_doctor_names_what_is_wrong(invoke, workspace: Path) -> None:
    (workspace / ".deskhand").mkdir()
    (workspace / ".deskhand" / "runs.db").write_bytes(b"not a database" * 1000)
    done = invoke("doctor", "--workspace", workspace)
    assert (done.exit_code, "runs.db" in done.stdout) == (1, True)


OWN_GRAPH = """
from typing import TypedDict
from langgraph.graph import END, START, StateGraph
from deskhand.context import RunContext
from deskhand.tickets import Ticket
from deskhand_graphs import step

class State(TypedDict, total=False):
    ticket: Ticket
    words: int
    vault: dict
    trace: tuple

async def count(state, ctx):
    return {"words": len(state["ticket"].customer_text().split())}

def build(workspace):
    graph = StateGraph(State, RunContext)
    graph.add_node("count", step("count", count))
    graph.add_edge(START, "count")
    graph.add_edge("count", END)
    return graph
"""


def test_a_graph_of_the_workspace_runs_by_the_same_commands(invoke, workspace: Path, ticket_file: Path) -> None:
    (workspace / "word_graphs.py").write_text(OWN_GRAPH)
    config = workspace / "deskhand.toml"
    config.write_text(config.read_text() + '\n[graphs.own]\nwords = "word_graphs:build"\n')
    done = invoke("run", "words", "--ticket", ticket_file, "--json", "--record", "--workspace", workspace)
    value = json.loads(done.stdout)
    assert (value["status"], value["values"]) == ("done", {"words": 9})
    assert "count" in invoke("graph", "show", "words", "--workspace", workspace).stdout
    again = invoke("runs", "replay", value["run_id"], "--json", "--workspace", workspace)
    assert json.loads(again.stdout)["values"] == {"words": 9}


def test_nothing_heavy_is_imported_for_help() -> None:
    code = (
        "import sys, deskhand_cli.app as m\n"
        "heavy = {'pydantic', 'numpy', 'langgraph', 'langchain_core', 'chromadb', 'onnxruntime', 'rich.console'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_interrupt_says_how_to_go_on(invoke, workspace: Path, ticket_file: Path, monkeypatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("deskhand_runs.execute.Executor.run_ticket", interrupt)
    done = invoke("run", "--ticket", ticket_file, "--workspace", workspace)
    assert (done.exit_code, "same command again" in done.stderr) == (130, True)


def test_debug_shows_the_traceback(invoke, workspace: Path) -> None:
    done = invoke("--debug", "run", "--ticket", "nothing.json", "--workspace", workspace)
    assert isinstance(done.exception, Exception)
    assert "no such file" in str(done.exception)
