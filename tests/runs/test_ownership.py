from __future__ import annotations

import subprocess
import sys

import pytest

from deskhand.config import WorkspaceFolder
from deskhand.errors import OwnedElsewhere, StoreError
from deskhand.testing import build_workspace
from deskhand_runs.ownership import is_owned, own

HOLD = """
import sys, time
from pathlib import Path
from deskhand.config import WorkspaceFolder
from deskhand_runs.ownership import own
with own(WorkspaceFolder(Path(sys.argv[1]))):
    print("mine", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path):
    return WorkspaceFolder(build_workspace(tmp_path / "workspace"))


def test_a_second_owner_is_refused_until_the_first_dies(folder):
    assert not is_owned(folder)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder.root)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "mine\n"
        assert is_owned(folder)
        with pytest.raises(OwnedElsewhere, match=f"process {holder.pid} executes its runs") as refused, own(folder):
            pass
        assert refused.value.owner == str(holder.pid)
        holder.kill()
    with own(folder):
        assert is_owned(folder)
    assert not is_owned(folder)


def test_a_folder_that_cannot_be_written_is_named(folder):
    folder.state.write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"engine\.lock: cannot be written"), own(folder):
        pass
