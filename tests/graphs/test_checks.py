"""Checking a workspace."""

from __future__ import annotations

from deskhand.config import WorkspaceFolder
from deskhand_graphs.checks import check_workspace


def test_label_may_be_null_but_not_unknown_or_forgotten(tmp_path):
    (tmp_path / "deskhand.toml").write_text('schema = 1\n[brand]\nname = "Fern"\n')
    (tmp_path / "taxonomy.toml").write_text(
        'schema = 1\n[[category]]\nid = "login"\nname = "Login"\ndescription = "Password"\n'
    )
    folder = WorkspaceFolder(tmp_path)
    folder.labelled.parent.mkdir()
    folder.labelled.write_text(
        '{"text": "a", "label": "login"}\n{"text": "b", "label": null}\n{"text": "c", "label": "gone"}\n{"text": "d"}\n'
    )
    problems = check_workspace(folder)
    assert len(problems) == 2
    assert ":3: label: 'gone' is not a category" in problems[0]
    assert ":4: label: None is not a category" in problems[1]
