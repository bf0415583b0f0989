"""What holds for the whole repository: rooms, wheel, lock, sizes, and what no file may contain."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
ROOMS = {init.parent.relative_to(ROOT) for init in ROOT.glob("[a-z]*/deskhand*/__init__.py")}
FOLDERS = {room.parts[0] for room in ROOMS}
PACKAGES = {room.name for room in ROOMS}
MAX_LINES = 800
HEAVY = {"litellm", "langgraph", "chromadb", "onnxruntime", "numpy", "sklearn", "scipy", "pydantic"}


def repository_files():
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def python_files(*folders):
    return [path for path in repository_files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders]


def locked_versions():
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", LOCK, re.MULTILINE))


def test_there_are_rooms():
    assert {"deskhand", "deskhand_cli"} <= PACKAGES


def test_wheel_holds_every_module_of_every_room_and_nothing_else(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    missing = {
        str(path.relative_to(ROOT / room.parts[0]))
        for room in ROOMS
        for path in repository_files()
        if path.is_relative_to(ROOT / room)
    } - names
    assert missing == set()
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == PACKAGES


def test_every_list_in_pyproject_names_exactly_the_rooms():
    tool = PROJECT["tool"]
    hatch = tool["hatch"]["build"]
    assert set(hatch["targets"]["wheel"]["packages"]) == {room.as_posix() for room in ROOMS}
    assert set(hatch["dev-mode-dirs"]) == FOLDERS
    assert set(tool["mypy"]["files"]) - {"benchmarks", "examples"} == FOLDERS
    assert set(tool["mypy"]["mypy_path"].split(":")) - {"benchmarks"} == FOLDERS
    assert set(tool["coverage"]["run"]["source_pkgs"]) == PACKAGES
    assert set(tool["importlinter"]["root_packages"]) == PACKAGES
    (layers,) = (contract["layers"] for contract in tool["importlinter"]["contracts"] if contract["type"] == "layers")
    named = [package.strip() for layer in layers for package in re.split("[|:]", layer)]
    assert sorted(named) == sorted(PACKAGES)


def test_every_room_has_a_readme():
    assert {folder for folder in FOLDERS if not (ROOT / folder / "README.md").is_file()} == set()


def test_lock_names_no_place_to_install_from():
    scheme = "://"
    assert not re.search(
        rf"^\s*-|{scheme}|\s@\s|--(extra-)?index|--find-links|^\s*[./]", re.sub(r"    --hash=", "", LOCK), re.M
    )


def test_every_locked_requirement_is_pinned_and_has_hashes():
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    assert len(entries) > 50
    form = re.compile(r"[A-Za-z0-9._-]+==[^\s;]+(?: ; [^\\\n]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+")
    assert [entry.split("\n")[0] for entry in entries if not form.fullmatch(entry)] == []


def test_every_dependency_is_locked_at_a_version_that_it_allows():
    locked = locked_versions()
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    wanted += [one for extra in PROJECT["project"].get("optional-dependencies", {}).values() for one in extra]
    wanted += PROJECT["build-system"]["requires"]
    requirements = [Requirement(text) for text in wanted]
    assert "hatchling" in locked
    assert [str(one) for one in requirements if canonicalize_name(one.name) not in locked] == []
    wrong = [str(one) for one in requirements if not one.specifier.contains(locked[canonicalize_name(one.name)])]
    assert wrong == []


# Built from parts, so that this file does not hold what it looks for.
NEEDLES = ["/" + name + "/" for name in ("work", "root")] + ["/" + "tmp/bash", "/home/" + "runner"]
NEEDLES += ["py" + "pi.org", "python" + "hosted.org", "index" + "-url ="]


def test_no_file_names_a_path_of_a_machine_or_a_registry():
    found = []
    for path in repository_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {needle}" for needle in NEEDLES if needle in text]
    assert found == []


def test_no_module_is_longer_than_800_lines():
    sizes = {path: len(path.read_text().splitlines()) for path in python_files(*FOLDERS, "tests", "benchmarks")}
    assert {str(path): size for path, size in sizes.items() if size > MAX_LINES} == {}


def touches_environment(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "putenv"):
            return True
        if (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {"environ", "getenv"} & {a.name for a in node.names}
        ):
            return True
    return False


def test_environment_is_touched_in_two_modules_only():
    allowed = {"core/deskhand/libraries.py", "core/deskhand/settings.py"}
    touching = {
        path.relative_to(ROOT).as_posix()
        for path in python_files(*FOLDERS)
        if touches_environment(ast.parse(path.read_text()))
    }
    assert touching <= allowed


def test_command_line_starts_without_heavy_libraries():
    script = "import sys, deskhand_cli.app; print('\\n'.join({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "deskhand_cli" in loaded
    assert {name for name in loaded if name in HEAVY or name.startswith("langchain")} == set()
