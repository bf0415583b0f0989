"""Rows of a dataset, whatever file they stand in: JSONL, JSON, CSV, YAML, or a Hugging Face dataset on disk."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deskhand.errors import InputError
from deskhand.jsonio import Line, canonical_json, content_hash, parse_json, read_lines, read_text
from deskhand.schema import Json

if TYPE_CHECKING:
    from types import ModuleType

FORMATS = ".jsonl, .json (a list), .csv, .yaml, .yml, or the folder of a Hugging Face dataset"


def read_rows(path: Path) -> Iterator[Line]:
    """Yield the rows of a dataset, each with where it stands. The form is told by the file's name.

    A CSV cell that is JSON is read as JSON (``["a", "b"]``, ``3``, ``null``), any other is text, and an empty one
    is None. A Hugging Face dataset is a folder that ``save_to_disk`` wrote; ``folder/train`` names one of its splits.

    Raises:
        InputError: The file is missing, of another form, or not what its name says; or the extra ``hf`` is needed.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path}: is neither a file nor a folder; name one")
    if path.is_dir() or (not path.suffix and path.parent.joinpath("dataset_dict.json").is_file()):
        yield from _hugging_face(path)
    elif path.suffix == ".csv":
        yield from _csv(path)
    elif path.suffix in (".yaml", ".yml"):
        yield from _listed(_parse_yaml(path), path)
    elif path.suffix == ".json":
        yield from _listed(parse_json(read_text(path), str(path)), path)
    elif path.suffix in (".jsonl", ".ndjson"):
        yield from read_lines(path)
    else:
        raise InputError(f"{path}: not a dataset by its name; use {FORMATS}")


def _listed(value: Any, path: Path) -> Iterator[Line]:
    if not isinstance(value, list):
        raise InputError(f"{path}: holds no list of rows; make it one")
    for number, row in enumerate(value, start=1):
        yield Line(f"{path}: row {number}", row)


def _parse_yaml(path: Path) -> Any:
    import yaml

    try:
        value = yaml.load(read_text(path), _yaml_loader())  # noqa: S506 - a subclass of SafeLoader
    except RecursionError as exc:
        raise InputError(f"{path}: is nested too deeply; correct it") from exc
    except yaml.YAMLError as exc:
        raise InputError(f"{path}: not valid YAML ({' '.join(str(exc).split())[:200]}); correct it") from exc
    return [] if value is None else value


def _yaml_loader() -> Any:
    """Return a safe loader that leaves dates as they are written and knows no aliases: rows are JSON.

    A few nested aliases stand for billions of values, or for a value within itself.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
                raise yaml.YAMLError(f"line {mark.line + 1}: an alias is not read; write the value out")
            return super().compose_node(parent, index)

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def _csv(path: Path) -> Iterator[Line]:
    reader = csv.DictReader(io.StringIO(read_text(path)), strict=True)
    repeated = [name for name, n in Counter(reader.fieldnames or ()).items() if n > 1]
    if repeated:
        raise InputError(f"{path}: column {repeated[0]!r} stands there twice; name each once")
    try:
        for row in reader:
            where = f"{path}:{reader.line_num}"
            if None in row or None in row.values():
                raise InputError(f"{where}: has not as many cells as the head; quote cells that hold commas")
            yield Line(where, {key: cell if key == "id" else _cell(cell, where) for key, cell in row.items()})
    except csv.Error as exc:
        raise InputError(f"{path}:{reader.line_num}: not valid CSV ({exc}); correct it") from exc


def _cell(text: str, where: str) -> Json:
    if not text:
        return None
    try:
        value: Json = parse_json(text, where)
    except InputError:
        return text
    return value


def _hugging_face(path: Path) -> Iterator[Line]:
    """Yield the rows of a dataset on disk; nothing is fetched, and nothing else of the library is used."""
    library = _import_datasets()
    is_split = not path.is_dir() or (path.parent / "dataset_dict.json").is_file()
    root, split = (path.parent, path.name) if is_split else (path, "")
    try:
        found = library.load_from_disk(str(root))
    except (FileNotFoundError, OSError, ValueError) as exc:
        raise InputError(f"{root}: not a dataset that save_to_disk wrote ({exc}); name its folder") from exc
    if isinstance(found, Mapping):
        known = ", ".join(sorted(found))
        if not split:
            raise InputError(f"{root}: has the splits {known}; name one, such as {root / min(found)}")
        if split not in found:
            raise InputError(f"{root}: has no split {split!r}; it has {known}")
        found = found[split]
    for number, row in enumerate(found):
        yield Line(f"{path}: row {number + 1}", _plain(row, f"{path}: row {number + 1}"))


def _import_datasets() -> ModuleType:
    try:
        import datasets  # type: ignore[import-untyped]
    except ImportError as exc:
        raise InputError(
            "reading a Hugging Face dataset needs the library 'datasets'; install it with: pip install 'deskhand[hf]'"
        ) from exc
    found: ModuleType = datasets
    return found


def _plain(row: Any, where: str) -> Any:
    """Return a row as JSON knows it: dates as text."""
    try:
        return parse_json(canonical_json(_dated(row)), where)
    except (TypeError, ValueError) as exc:
        raise InputError(f"{where}: holds what JSON does not know ({exc}); remove that column") from exc


def _dated(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _dated(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_dated(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def rows_version(rows: Sequence[Mapping[str, Json]]) -> str:
    """Return the hash of rows, 64 hexadecimal digits: of their content, in any form of file, in their order."""
    return content_hash([dict(row) for row in rows])
