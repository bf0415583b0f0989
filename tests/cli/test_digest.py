from __future__ import annotations

import json
from pathlib import Path

from deskhand.testing import build_ticket

TEXTS = ("my parcel has not arrived", "the parcel tracking stands still", "I want to return the lamp", "parcel lost?")


def write_tickets(folder: Path) -> Path:
    lines = [build_ticket(text, ticket_id=f"T-{n}").model_dump_json() for n, text in enumerate(TEXTS)]
    lines.append(build_ticket("done", ticket_id="T-9", status="closed").model_dump_json())
    path = folder / "many.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_themes_are_counted_with_examples_and_telling_words(invoke, workspace: Path, tmp_path: Path) -> None:
    done = invoke("digest", "--ticket", write_tickets(tmp_path), "--json", "--workspace", workspace)
    digest = json.loads(done.stdout)
    assert digest["n_tickets"] == 4
    counts = {theme["category"]: theme["count"] for theme in digest["themes"]}
    assert counts == {"delivery": 3, "returns": 1}
    assert digest["themes"][0]["terms"][0] == "parcel"
    assert set(digest["themes"][0]["examples"]) <= {"T-0", "T-1", "T-3"}
    assert "delivery, 3 (75%)" in digest["text"]


def test_people_see_a_table(invoke, workspace: Path, tmp_path: Path) -> None:
    done = invoke("digest", "--ticket", write_tickets(tmp_path), "--workspace", workspace)
    assert "3 (75%)" in done.stdout


def test_nothing_to_digest_is_said(invoke, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("{}\n")
    done = invoke("digest", "--ticket", tmp_path / "bad.jsonl", "--workspace", workspace)
    assert (done.exit_code, "no tickets to digest" in done.stderr) == (2, True)


def test_a_bad_ticket_does_not_stop_the_others(invoke, workspace: Path, tmp_path: Path) -> None:
    path = write_tickets(tmp_path)
    path.write_text(path.read_text() + "\n{}\n")
    done = invoke("digest", "--ticket", path, "--json", "--workspace", workspace)
    assert (done.exit_code, json.loads(done.stdout)["n_tickets"]) == (1, 4)
