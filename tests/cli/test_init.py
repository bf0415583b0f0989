from __future__ import annotations

import json
from pathlib import Path


def test_the_example_ticket_is_answered_after_one_article(invoke, tmp_path: Path) -> None:
    folder = tmp_path / "acme"
    said = invoke("init", folder).stderr
    (folder / "knowledge" / "delivery.md").write_text("# Delivery\n\nA parcel takes 3 working days to arrive.\n")
    example = str(folder / "tickets" / "example.json")
    assert f"run --ticket {example} --workspace {folder}" in said
    done = invoke("run", "--ticket", example, "--json", "--workspace", folder)
    assert "3 working days" in json.loads(done.stdout)["draft"]["text"]
