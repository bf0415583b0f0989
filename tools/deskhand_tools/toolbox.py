"""The one way from an agent to a tool: recorded, masked, validated, timed, and judged by the policy."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ValidationError

from deskhand.actions import Action, ActionVerdict, Effect
from deskhand.context import RunContext
from deskhand.errors import ConfigError, ToolFailed, ToolRetry
from deskhand.fencing import normalise
from deskhand.jsonio import canonical_json, content_hash
from deskhand.recorder import CallKind
from deskhand.schema import Json
from deskhand.vault import map_strings
from deskhand_tools.helpdesk import REPLY, helpdesk_tools
from deskhand_tools.orders import ORDER_TOOL_NAMES
from deskhand_tools.policy import Policy, Rule
from deskhand_tools.provenance import CONFIG
from deskhand_tools.tool import Scope, Tool, as_langchain

if TYPE_CHECKING:
    from langchain_core.tools import StructuredTool

MAX_RESULT_CHARS = 50_000
"""Longest result of a tool, in characters of JSON; a longer one would crowd the ticket out of a prompt."""

MAX_ERROR_CHARS = 500
"""As much of what a failing tool says reaches the model, the reviewer and the recording."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_BUILT_IN = frozenset({REPLY, *ORDER_TOOL_NAMES, *(tool.name for tool in helpdesk_tools())})


@dataclass(frozen=True)
class Toolbox:
    """The tools of a workspace under its policy. It keeps no state of a run and may be shared by many.

    Raises:
        ConfigError: A tool has a bad or a repeated name, or a rule of the policy fits no tool.
    """

    tools: tuple[Tool, ...]
    policy: Policy
    timeout_s: float = 10.0

    def __init__(self, tools: Sequence[Tool], policy: Policy, *, timeout_s: float = 10.0) -> None:
        object.__setattr__(self, "tools", tuple(tools))
        object.__setattr__(self, "policy", policy)
        object.__setattr__(self, "timeout_s", timeout_s)
        _check_names(self.names)
        for rule in policy.rules:
            _check_rule(rule, self.find(rule.tool))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tools, in their order."""
        return tuple(tool.name for tool in self.tools)

    def find(self, name: str) -> Tool | None:
        """Return the tool of this name, or None."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def as_langchain(self, ctx: RunContext, scope: Scope) -> list[StructuredTool]:
        """Return every tool for LangChain, each bound to ``call`` in this run and scope."""
        return [as_langchain(tool, partial(self.call, tool.name, ctx=ctx, scope=scope)) for tool in self.tools]

    async def call(self, name: str, args: Mapping[str, Json], ctx: RunContext, scope: Scope) -> Json | Action:
        """Return the masked result of a read tool, or the Action, masked too, that a write or money tool became.

        Args:
            name: The tool.
            args: The arguments as the model gave them, with the vault's placeholders.
            ctx: The run; the call is recorded at its path.
            scope: Whose records may be read. Use the same one for a whole run: it remembers what was read.

        Raises:
            ToolRetry: There is no such tool, or the arguments do not fit; the message says what to change.
            ToolFailed: The policy refuses the tool, or it failed; the call must not be repeated.
        """
        tool = self.find(name)
        if tool is None:
            asked = _told(name, ctx.vault.mask)
            raise ToolRetry(f"{asked}: there is no such tool; use one that there is", tool_name=asked)
        masked = _masked_args(tool, args, ctx)
        if tool.effect is Effect.read:
            return await self._read(tool, masked, ctx, scope)
        return await self._propose(tool, masked, ctx, scope)

    async def _read(self, tool: Tool, args: dict[str, Json], ctx: RunContext, scope: Scope) -> Json:
        judgement = self.policy.judge(tool.name, tool.effect, args, scope.records.trace(args))
        if judgement.verdict is not ActionVerdict.allowed:
            raise ToolFailed(f"{tool.name}: {judgement.reason}", tool_name=tool.name)

        async def perform() -> Json:
            checked = _validate(tool, args, ctx)
            result = await self._run(tool, checked, scope, ctx.vault.mask)
            return _mask_all(_plain_json(tool, result), partial(_masked, mask=ctx.vault.mask))

        result = await ctx.call(CallKind.tool, _request(tool, args), perform)
        scope.records.note(tool.name, result, untrusted=tool.untrusted)
        return result

    async def _run(self, tool: Tool, args: BaseModel, scope: Scope, mask: Callable[[str], str]) -> Json:
        try:
            async with asyncio.timeout(self.timeout_s):
                return await tool.run(args, scope)
        except ToolRetry as exc:
            raise ToolRetry(_told(str(exc), mask), tool_name=tool.name) from exc
        except ToolFailed as exc:
            raise ToolFailed(_told(str(exc), mask), tool_name=tool.name) from exc
        except TimeoutError as exc:
            raise ToolFailed(
                f"{tool.name}: no answer within {self.timeout_s:g} s; go on without it", tool_name=tool.name
            ) from exc
        except (Exception, asyncio.CancelledError) as exc:  # code of others: one failing tool must not end the run
            if _is_cancelled(exc):
                raise
            why = _told(f"{type(exc).__name__}: {exc}", mask)
            raise ToolFailed(f"{tool.name}: failed ({why}); go on without it", tool_name=tool.name) from exc

    async def _propose(self, tool: Tool, args: dict[str, Json], ctx: RunContext, scope: Scope) -> Action:
        async def perform() -> Json:
            checked = _validate(tool, args, ctx)
            masked = _mask_all(checked.model_dump(mode="json"), ctx.vault.mask)
            return {"args": masked, "given": cast("Json", sorted(checked.model_fields_set))}

        answer = cast("dict[str, Any]", await ctx.call(CallKind.tool, _request(tool, args), perform))
        checked: dict[str, Json] = answer["args"]
        traced = scope.records.trace(checked)
        provenance = {name: traced[name] if name in answer["given"] else CONFIG for name in checked}
        judgement = self.policy.judge(tool.name, tool.effect, checked, provenance)
        return Action(
            id=ctx.new_id("act"),
            kind=tool.kind,
            name=tool.name,
            args=checked,
            provenance=provenance,
            key=content_hash([ctx.run_id, tool.name, checked]),
            verdict=judgement.verdict,
            reason=judgement.reason,
        )

    def carry_out(self, action: Action, scope: Scope) -> Awaitable[Json]:
        """Run the tool of an approved action; ``scope.action_key`` must be the action's key.

        Only write-back calls this, after it asked the policy again.

        Raises:
            ToolFailed: There is no such tool, the arguments no longer fit it, or it says that nothing was done.
            ToolRetry: The same, said by the tool.
        """
        assert scope.action_key == action.key, "an action is carried out under its own key"
        tool = self.find(action.name)
        if tool is None or tool.kind != "tool":
            raise ToolFailed(f"no tool {action.name!r} can carry this out; add it again", tool_name=action.name)
        try:
            args = tool.args.model_validate_json(canonical_json(action.args))
        except ValidationError as exc:
            raise ToolFailed(f"{action.name}: {_problem(exc)}; propose it again", tool_name=action.name) from exc
        return asyncio.wait_for(tool.run(args, scope), self.timeout_s)


def _is_cancelled(exc: BaseException) -> bool:
    """Tell whether the run is to stop; a tool whose own request was cancelled has failed like any other."""
    task = asyncio.current_task()
    return isinstance(exc, asyncio.CancelledError) and (task is None or task.cancelling() > 0)


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name) or name == REPLY:
            raise ConfigError(f"tool {name!r}: not a name for a tool; use lower-case letters, digits, _ and -")
        if names.count(name) > 1:
            raise ConfigError(f"tool {name!r}: there are two of this name; rename one")


def _check_rule(rule: Rule, tool: Tool | None) -> None:
    if tool is None:
        if rule.tool not in _BUILT_IN:
            raise ConfigError(f"policy.toml: rule for {rule.tool!r}: there is no such tool; correct the name")
        return
    for name in rule.guarded or ():
        if name not in tool.args.model_fields:
            known = ", ".join(tool.args.model_fields) or "none"
            raise ConfigError(f"policy.toml: {rule.tool} has no argument {name!r} to guard; its arguments: {known}")
    if tool.effect is Effect.read and rule.verdict is ActionVerdict.needs_approval:
        raise ConfigError(
            f"policy.toml: {rule.tool} only reads, and nobody is asked before a read; say 'allowed' or 'refused'"
        )


def _request(tool: Tool, args: dict[str, Json]) -> Json:
    return {"tool": tool.name, "args": args}


def _masked_args(tool: Tool, args: Mapping[str, Json], ctx: RunContext) -> dict[str, Json]:
    try:
        canonical_json(args).encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise ToolRetry(f"{tool.name}: the arguments are not JSON; send a JSON object", tool_name=tool.name) from exc
    return cast("dict[str, Json]", _mask_all(dict(args), ctx.vault.mask))


def _validate(tool: Tool, args: dict[str, Json], ctx: RunContext) -> BaseModel:
    plain = map_strings(args, ctx.vault.unmask)
    try:
        return tool.args.model_validate_json(canonical_json(plain))
    except ValidationError as exc:
        problem = _told(_problem(exc), ctx.vault.mask)
        raise ToolRetry(f"{tool.name}: {problem}; correct the arguments", tool_name=tool.name) from None


def _problem(exc: ValidationError) -> str:
    """Return every problem without the values: they are unmasked here, and the model knows what it sent."""
    problems = exc.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'arguments'}: {item['msg']}" for item in problems[:5])


def _plain_json(tool: Tool, result: Json) -> Json:
    """Return what a recording would give back. Raises ToolFailed for what JSON cannot hold or is too long."""
    try:
        text = canonical_json(result)
    except (TypeError, ValueError, RecursionError) as exc:
        raise ToolFailed(f"{tool.name}: its result is not JSON ({exc}); correct the tool", tool_name=tool.name) from exc
    if len(text) > MAX_RESULT_CHARS:
        raise ToolFailed(
            f"{tool.name}: its result has {len(text):,} characters, the limit is {MAX_RESULT_CHARS:,}; ask for less",
            tool_name=tool.name,
        )
    return cast("Json", json.loads(text))


def _masked(text: str, mask: Callable[[str], str]) -> str:
    """Mask what a person sees: an address with a hidden character in it would be whole again in a prompt."""
    return mask(normalise(text))


def _told(text: str, mask: Callable[[str], str]) -> str:
    """Return what a tool says of its failure, masked and short. Outside systems put anything into their errors."""
    masked = mask(normalise(text)[:MAX_RESULT_CHARS])  # and cut afterwards, which would leave half an address
    return masked if len(masked) <= MAX_ERROR_CHARS else f"{masked[: MAX_ERROR_CHARS - 3]}..."


def _mask_all(value: Json, mask: Callable[[str], str]) -> Json:
    """Mask every string, keys too: a tool may return a table keyed by e-mail address."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list):
        return [_mask_all(item, mask) for item in value]
    if isinstance(value, dict):
        return {mask(key): _mask_all(item, mask) for key, item in value.items()}
    return value
