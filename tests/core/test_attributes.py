import sys

import pytest

from deskhand.attributes import load_attribute
from deskhand.errors import ConfigError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "own_graphs.py").write_text("class Graphs:\n    refund = 'found'\n")
    (tmp_path / "own_broken.py").write_text("import os\nos.no_such_thing\n")
    (tmp_path / "own_syntax.py").write_text("def (:\n")
    return tmp_path


def test_attribute_of_a_module_in_the_folder_is_found_and_the_path_grows_once(folder):
    assert load_attribute("own_graphs:Graphs.refund", folder, key="k") == "found"
    assert load_attribute("own_graphs:Graphs", folder, key="k").refund == "found"
    assert sys.path.count(str(folder)) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own_graphs:Graphs.other", "'own_graphs' has no 'Graphs.other'; check the name after the colon"),
        ("own_graphs", "check the name after the colon"),
        ("own_missing:x", "cannot import 'own_missing' (ModuleNotFoundError"),
        ("own_broken:x", "cannot import 'own_broken' (AttributeError"),
        ("own_syntax:x", "cannot import 'own_syntax' (SyntaxError"),
        (":x", "cannot import '' (ValueError"),
    ],
)
def test_wrong_name_says_key_cause_and_next_step(folder, name, said):
    with pytest.raises(ConfigError, match=r"^graphs.own.mine: ") as caught:
        load_attribute(name, folder, key="graphs.own.mine")
    assert said in str(caught.value)
    assert str(caught.value).endswith(("; check the name after the colon", f"looked for in {folder}; correct it"))
