"""What may be done: ``policy.toml``, where everything that is not allowed is refused.

The policy is asked when an action is proposed and again right before it is carried out. It assumes a model that is
fully under an attacker's control: what it says of an argument counts for nothing, where the value was read counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from deskhand.actions import ActionVerdict, Effect
from deskhand.config import Name, load_toml
from deskhand.schema import Json, Model
from deskhand.tickets import ShortText
from deskhand_tools.helpdesk import REPLY
from deskhand_tools.provenance import CONFIG, RECORD

_APPROVAL_REASON = "a person must approve it"


class Rule(Model):
    """What is said of one tool.

    ``guarded`` names the arguments whose values must come from the system of record or from configuration. When it
    is left out, every argument of a money tool is guarded and none of another.
    """

    tool: Name
    verdict: ActionVerdict
    reason: ShortText = ""
    guarded: tuple[ShortText, ...] | None = None


class _PolicyFile(Model):
    schema_version: Literal[1] = Field(alias="schema")
    rule: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _one_rule_per_tool(self) -> _PolicyFile:
        names = [rule.tool for rule in self.rule]
        for repeated in sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the tool {repeated!r} has two rules; remove one")
        return self


@dataclass(frozen=True)
class Judgement:
    """What the policy says, and why."""

    verdict: ActionVerdict
    reason: str


@dataclass(frozen=True)
class Policy:
    """The rules of a workspace; without rules, reads are allowed, a reply needs approval, all else is refused."""

    rules: tuple[Rule, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Policy:
        """Return the rules in ``policy.toml``, none when there is no file. Raises ConfigError."""
        return cls(load_toml(path, _PolicyFile).rule) if path.exists() else cls()

    def rule_for(self, name: str) -> Rule | None:
        """Return the rule that names this tool, or None."""
        return next((rule for rule in self.rules if rule.tool == name), None)

    def judge(self, name: str, effect: Effect, args: Mapping[str, Json], provenance: Mapping[str, str]) -> Judgement:
        """Return what may become of a call, with the reason in one line.

        Args:
            name: The tool's name, or ``reply``.
            effect: The tool's effect.
            args: All arguments, defaults included.
            provenance: Where each argument's value comes from; ``record:...`` and ``config`` are trusted. A guarded
                argument that is missing here is refused.
        """
        rule = self.rule_for(name)
        if rule is None:
            return _without_rule(name, effect)
        problem = None if rule.verdict is ActionVerdict.refused else _guard(rule, effect, args, provenance)
        if problem is not None:
            return Judgement(ActionVerdict.refused, problem)
        return Judgement(rule.verdict, rule.reason or _default_reason(rule))


def _default_reason(rule: Rule) -> str:
    if rule.verdict is ActionVerdict.needs_approval:
        return _APPROVAL_REASON
    said = "allows" if rule.verdict is ActionVerdict.allowed else "refuses"
    return f"policy.toml {said} {rule.tool}"


def _without_rule(name: str, effect: Effect) -> Judgement:
    if effect is Effect.read:
        return Judgement(ActionVerdict.allowed, "reading is allowed")
    if name == REPLY and effect is Effect.write:
        return Judgement(ActionVerdict.needs_approval, _APPROVAL_REASON)
    return Judgement(
        ActionVerdict.refused, f"policy.toml has no rule for {name} ({effect.value}); add a [[rule]] to permit it"
    )


def _guard(rule: Rule, effect: Effect, args: Mapping[str, Json], provenance: Mapping[str, str]) -> str | None:
    """Return why a guarded argument cannot be trusted, or None."""
    guarded = rule.guarded if rule.guarded is not None else tuple(args) if effect is Effect.money else ()
    for name in guarded:
        if name not in args:
            return f"{rule.tool} has no argument {name!r}; correct 'guarded' in policy.toml"
        if not _is_trusted(provenance.get(name, "")):
            return f"{name}: the value is in no record of this customer and not in the configuration; look it up first"
    records = {provenance[name].partition("#")[0] for name in guarded if "#" in provenance[name]}
    if len(records) > 1:
        return f"{', '.join(guarded)}: the values come from different records; take all from one"
    return None


def _is_trusted(source: str) -> bool:
    return source == CONFIG or source.startswith(RECORD)
