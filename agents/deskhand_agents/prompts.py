"""Prompts: Markdown with front matter, rendered in a sandbox, known by the hash of its content.

Where they lie and which of their versions is in use is ``prompt_files``. A prompt looks like this::

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

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from deskhand.config import Name
from deskhand.context import RunContext
from deskhand.errors import ConfigError
from deskhand.fencing import fence, normalise
from deskhand.interfaces import ChatMessage
from deskhand.jsonio import content_hash, first_problem
from deskhand.schema import Model
from deskhand.tickets import ShortText

if TYPE_CHECKING:
    from jinja2 import Template

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


def fenced(text: str, label: str, ctx: RunContext) -> str:
    """Return what others wrote, marked as material, for a prompt.

    The mark follows from the run's id, so that a replay asks the same to the byte, and nobody who writes to us knows
    it. Marks of chat templates lose their form: a local server would take them for the end of a message.
    """
    plain = _CHAT_MARKS.sub(lambda match: f"{match[0]} " if match[0] != ">" else " >", normalise(text))
    marks = (content_hash([ctx.run_id, label, n])[:HASH_CHARS] for n in itertools.count())
    return fence(plain, label, mark=next(mark for mark in marks if mark not in plain))
