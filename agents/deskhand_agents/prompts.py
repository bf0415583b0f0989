"""Prompts: Markdown files with front matter, rendered in a sandbox, known by the hash of their content.

A workspace file ``prompts/<name>.md`` takes the place of the built-in one of the same name. Every version that was
ever loaded is kept in ``.deskhand/prompts/<name>/<hash>.md``. A file looks like this::

    ---
    name: triage
    tier: small
    notes: asks for null when nothing fits
    ---
    The text of the system message, with {{ variables }}.
    === user ===
    The text of the user's message.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from deskhand.config import Name, WorkspaceFolder
from deskhand.context import RunContext
from deskhand.errors import ConfigError, InputError, StoreError
from deskhand.fencing import fence, normalise
from deskhand.interfaces import ChatMessage
from deskhand.jsonio import content_hash, first_problem, read_text, write_atomic
from deskhand.schema import Model
from deskhand.tickets import ShortText

if TYPE_CHECKING:
    from jinja2 import Template

BUILT_IN = Path(__file__).with_name("prompts")
"""The folder of the prompts that come with deskhand."""

USER_LINE = "=== user ==="
HASH_CHARS = 16
"""How much of the SHA-256 of a file names its version."""

VARIABLES: dict[str, frozenset[str]] = {
    "triage": frozenset({"ticket", "categories", "examples"}),
    "summarize": frozenset({"thread", "max_words", "language"}),
    "draft": frozenset({"ticket", "questions", "records", "passages", "brand", "language"}),
    "resolve": frozenset({"ticket"}),
}
"""What the strategies give each prompt."""

_NEEDED = {
    "triage": frozenset({"ticket", "categories"}),
    "summarize": frozenset({"thread"}),
    "draft": frozenset({"ticket", "passages"}),
    "resolve": frozenset({"ticket"}),
}
_FRONT = re.compile(r"---[ \t]*\n(.*?\n)---[ \t]*(?:\n|$)(.*)", re.DOTALL)
_CHAT_MARKS = re.compile(r"<(?=\|)|(?<=\|)>|<(?=/?s>|/?(?:start|end)_of_turn>)|\[(?=/?INST\])", re.IGNORECASE)


class Front(Model):
    """The front matter of a prompt. ``tier`` names the models that answer it; ``notes`` say what changed."""

    name: Name
    tier: Literal["small", "strong", "judge"]
    notes: ShortText = ""


@dataclass(frozen=True)
class Prompt:
    """One version of a prompt. ``hash`` is that of its whole file; ``origin`` says whose it is."""

    front: Front
    source: str = field(repr=False)
    origin: Literal["built-in", "workspace", "history"]
    where: str

    @property
    def name(self) -> str:
        """The name of the prompt."""
        return self.front.name

    @property
    def tier(self) -> str:
        """The tier whose models answer it."""
        return self.front.tier

    @cached_property
    def hash(self) -> str:
        """The version: 16 hexadecimal digits that depend on every character of the file."""
        return content_hash(self.source)[:HASH_CHARS]

    @cached_property
    def variables(self) -> frozenset[str]:
        """The names that the prompt uses."""
        from jinja2 import meta

        with self._explained():
            return frozenset(meta.find_undeclared_variables(_environment().parse(_body(self.source))))

    @cached_property
    def _templates(self) -> list[Template]:
        with self._explained():
            return [_environment().from_string(part) for part in _parts(self.source)]

    def render(self, **variables: Any) -> tuple[ChatMessage, ...]:
        """Return the system message and, where the prompt has one, the user's.

        Args:
            variables: Values for the names in the prompt. What others wrote must be fenced before, see ``fenced``.

        Raises:
            ConfigError: The prompt uses a name that is not given, or does what the sandbox forbids.
        """
        with self._explained():
            texts = [template.render(**variables).strip() for template in self._templates]
        roles = ("system", "user")
        return tuple(ChatMessage(role, text) for role, text in zip(roles, texts, strict=False) if text)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn whatever a template may raise into one line about the file."""
        from jinja2 import TemplateError

        try:
            yield
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as exc:
            line = getattr(exc, "lineno", None)
            place = f", line {line} of its text" if line else ""
            detail = str(exc) or type(exc).__name__
            raise ConfigError(
                f"{self.where}: cannot be rendered ({detail}{place}); correct it, or see 'deskhand prompts list'"
            ) from exc


@dataclass(frozen=True)
class PromptVersions:
    """A prompt in use and the hashes of all its versions that are kept, the one in use first, then newest first."""

    prompt: Prompt
    versions: tuple[str, ...]


def _environment() -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # Without escaping: the texts go to a model, not into HTML. Without a loader: no prompt reads another file.
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, trim_blocks=True)


def _body(source: str) -> str:
    match = _FRONT.match(source)
    return match[2] if match else source


def _parts(source: str) -> list[str]:
    """Return the parts of the two messages. The source is cut, never what was rendered: no text can begin a message."""
    lines = _body(source).split("\n")
    if USER_LINE not in lines:
        return ["\n".join(lines)]
    at = lines.index(USER_LINE)
    return ["\n".join(lines[:at]), "\n".join(lines[at + 1 :])]


def parse_prompt(source: str, where: str, origin: Literal["built-in", "workspace", "history"]) -> Prompt:
    """Return a prompt from the text of its file.

    Raises:
        ConfigError: The front matter is missing or wrong, the template is, or it lacks what its strategy needs.
    """
    import yaml

    match = _FRONT.match(source)
    if match is None:
        raise ConfigError(f"{where}: has no front matter; begin with ---, name, tier and ---")
    try:
        raw = yaml.load(match[1], Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader builds only strings, lists and maps
        front = Front.model_validate(raw)
    except (yaml.YAMLError, RecursionError) as exc:
        line = " ".join(str(exc).split())
        raise ConfigError(f"{where}: the front matter is not YAML ({line}); correct it") from exc
    except ValidationError as exc:
        raise ConfigError(f"{where}: {first_problem(exc)}; correct the front matter") from exc
    prompt = Prompt(front, source, origin, where)
    _check_variables(prompt)
    return prompt


def _check_variables(prompt: Prompt) -> None:
    known = VARIABLES.get(prompt.name)
    if known is None:
        return
    if unknown := sorted(prompt.variables - known):
        raise ConfigError(f"{prompt.where}: {unknown[0]!r} is not given to it; use: {', '.join(sorted(known))}")
    if missing := sorted(_NEEDED[prompt.name] - prompt.variables):
        raise ConfigError(f"{prompt.where}: does not use {{{{ {missing[0]} }}}}; without it the model sees too little")


def load_prompt(folder: WorkspaceFolder | None, name: str) -> Prompt:
    """Return the prompt in use and keep its version; without a workspace the built-in one.

    Raises:
        ConfigError: There is no such prompt, or its file is wrong.
        StoreError: Its version cannot be kept.
    """
    own = _own_file(folder, name) if folder else None
    prompt = _read(own, name, "workspace") if own and own.is_file() else _read_built_in(name)
    if folder is not None:
        _keep(folder, prompt)
    return prompt


def _own_file(folder: WorkspaceFolder, name: str) -> Path:
    return folder.root / "prompts" / f"{_checked(name)}.md"


def _checked(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", name):
        raise ConfigError(f"prompt {name!r}: not a name; see 'deskhand prompts list'")
    return name


def _read(path: Path, name: str, origin: Literal["built-in", "workspace", "history"]) -> Prompt:
    try:
        prompt = parse_prompt(read_text(path), str(path), origin)
    except ConfigError:
        raise
    except InputError as exc:
        raise ConfigError(str(exc)) from exc
    if prompt.name != name:
        raise ConfigError(f"{path}: its name is {prompt.name!r}; write name: {name}, or rename the file")
    return prompt


def _read_built_in(name: str) -> Prompt:
    path = BUILT_IN / f"{_checked(name)}.md"
    if not path.is_file():
        known = ", ".join(sorted(VARIABLES))
        raise ConfigError(f"no prompt {name!r}; use one of {known}, or add prompts/{name}.md to the workspace")
    return _read(path, name, "built-in")


def _history(folder: WorkspaceFolder, name: str) -> Path:
    return folder.state / "prompts" / _checked(name)


def _keep(folder: WorkspaceFolder, prompt: Prompt) -> None:
    path = _history(folder, prompt.name) / f"{prompt.hash}.md"
    if not path.is_file():
        write_atomic(path, prompt.source)


def list_prompts(folder: WorkspaceFolder) -> list[PromptVersions]:
    """Return every prompt in use, sorted by name, with its kept versions.

    Raises:
        ConfigError: A file in ``prompts/`` is wrong.
        StoreError: A version cannot be kept.
    """
    names = {path.stem for where in (BUILT_IN, folder.root / "prompts") for path in where.glob("*.md")}
    found = []
    for name in sorted(names):
        prompt = load_prompt(folder, name)
        files = sorted(_history(folder, name).glob("*.md"), key=lambda path: (-path.stat().st_mtime_ns, path.stem))
        hashes = [prompt.hash, *(path.stem for path in files)]
        found.append(PromptVersions(prompt, tuple(dict.fromkeys(hashes))))
    return found


def load_version(folder: WorkspaceFolder, name: str, version: str) -> Prompt:
    """Return a kept version by its hash, or by the beginning of it, at least four characters.

    Raises:
        ConfigError: No version, or more than one, begins so.
    """
    files = sorted(_history(folder, name).glob("*.md"))
    fitting = [path for path in files if len(version) >= 4 and path.stem.startswith(version)]
    if len(fitting) != 1:
        known = ", ".join(path.stem for path in files) or "none"
        problem = "fits more than one" if fitting else "is not kept"
        raise ConfigError(f"prompt {name!r}: version {version!r} {problem}; the versions: {known}")
    try:
        source = read_text(fitting[0])
    except InputError as exc:
        raise StoreError(str(exc)) from exc
    prompt = parse_prompt(source, str(fitting[0]), "history")
    if prompt.hash != fitting[0].stem:
        raise StoreError(f"{fitting[0]}: was changed after it was kept; delete it")
    return prompt


def diff_prompt(folder: WorkspaceFolder, name: str, version: str) -> str:
    """Return what changed from a kept version to the one in use, as a unified diff; "" when nothing did."""
    current, other = load_prompt(folder, name), load_version(folder, name, version)
    before, after = (prompt.source.splitlines(keepends=True) for prompt in (other, current))
    return "".join(difflib.unified_diff(before, after, f"{name}@{other.hash}", f"{name}@{current.hash}"))


def rollback_prompt(folder: WorkspaceFolder, name: str, version: str) -> Prompt:
    """Write a kept version to ``prompts/<name>.md`` and return it; the one in use until now stays kept.

    Raises:
        ConfigError: There is no such version.
        StoreError: The file cannot be written.
    """
    own = _own_file(folder, name)
    if own.is_file():
        # as it stands, even if it is broken: whoever rolls back must not lose what they wrote
        source = read_text(own)
        write_atomic(_history(folder, name) / f"{content_hash(source)[:HASH_CHARS]}.md", source)
    chosen = load_version(folder, name, version)
    write_atomic(own, chosen.source)
    return load_prompt(folder, name)


def fenced(text: str, label: str, ctx: RunContext) -> str:
    """Return what others wrote, marked as material, for a prompt.

    The mark follows from the run's id, so that a replay asks the same to the byte, and nobody who writes to us knows
    it. Marks of chat templates lose their form: a local server would take them for the end of a message.
    """
    plain = _CHAT_MARKS.sub(lambda match: f"{match[0]} " if match[0] != ">" else " >", normalise(text))
    marks = (content_hash([ctx.run_id, label, n])[:HASH_CHARS] for n in itertools.count())
    return fence(plain, label, mark=next(mark for mark in marks if mark not in plain))
