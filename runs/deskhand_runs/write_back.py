"""Doing what was approved: each action once, judged again right before, with a receipt for every one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from deskhand.actions import Action, ActionVerdict, Decision, Effect, Receipt, ReceiptStatus, Verdict
from deskhand.clock import Clock
from deskhand.errors import ConfigError, InputError, StoreError, ToolFailed, ToolRetry, Unavailable
from deskhand.interfaces import Helpdesk
from deskhand.jsonio import content_hash
from deskhand.records import Outcome, RunRecord, RunStatus
from deskhand_runs.store import CANCELLED, RunStore, is_same_decision
from deskhand_tools import REPLY, Policy, Scope, Tool, Toolbox, helpdesk_tools

_APPROVALS = (Verdict.approve, Verdict.edit)


class WriteGuard(Protocol):
    """What is asked before, and told after, each action on a helpdesk."""

    async def before(self, record: RunRecord, action: Action) -> str | None:
        """Return why an action must not be done any more, or None. Raises Unavailable when it must be done later."""
        ...

    async def after(self, record: RunRecord, action: Action, receipt: Receipt) -> None:
        """Take note of what was done."""
        ...


async def write_back(
    record: RunRecord,
    decision: Decision | None,
    helpdesk: Helpdesk,
    policy: Policy,
    store: RunStore,
    clock: Clock,
    *,
    mode: Literal["review", "shadow"] = "review",
    toolbox: Toolbox | None = None,
    guard: WriteGuard | None = None,
) -> tuple[Receipt, ...]:
    """Send the reply, then carry out the approved actions, and return a receipt for each.

    It may be repeated at any time, after a crash too: an action with a receipt is not touched again, and the
    others are known to the helpdesk by their keys. It stops before the next action when the run is cancelled.
    Hold the run's lock meanwhile.

    Args:
        record: The run.
        decision: What a person said, stored before; ``reject`` and ``retry`` write nothing. None for a run that
            ended with ``send``: then only what the policy allows without a person is done.
        helpdesk: Where the ticket came from.
        policy: As it is now; what it refuses now is ``skipped``, whoever approved it.
        store: Where receipts are kept.
        clock: For the day in a tool's scope and the time of the end.
        mode: ``shadow`` writes nothing and says so in every receipt.
        toolbox: The tools that carry out actions of kind ``tool``; without it such an action is ``skipped``.
        guard: Asked before each action on the helpdesk; without it nothing but the policy stops one.

    Raises:
        InputError: The decision is not the one that is stored.
        Unavailable: The helpdesk or a keyed tool gave no clear answer, or the guard says later; call it again: what
            was done is found by its key.
        StoreError: A disk or a database failed; nothing is lost, call it again.
    """
    record = await asyncio.to_thread(store.load, record.run_id)
    if record.error.startswith(CANCELLED) or not _is_due(record, decision):
        return ()
    job = _Job(record, decision, helpdesk, policy, store, clock, mode, toolbox, guard)
    receipts: list[Receipt] = []
    for action in _actions(record, decision):
        if await asyncio.to_thread(store.is_cancelled, record.run_id):
            return tuple(receipts)
        receipts.append(await job.carry_out(action))
    await asyncio.to_thread(store.close_write_back, record.run_id, clock.now())
    return tuple(receipts)


def give_up(record: RunRecord, store: RunStore, why: str, clock: Clock) -> None:
    """End a write-back that did not succeed: what has no receipt becomes ``uncertain``, because of ``why``."""
    for action in _actions(record, record.latest_decision):
        store.add_receipt(record.run_id, _uncertain(action, why))
    store.close_write_back(record.run_id, clock.now())


def _is_due(record: RunRecord, decision: Decision | None) -> bool:
    if decision is None:
        result = record.result
        return record.status is RunStatus.done and result is not None and result.decision is Outcome.send
    if not any(is_same_decision(stored, decision) for stored in record.decisions):
        raise InputError(f"run {record.run_id}: this decision is not stored; decide it first with 'deskhand review'")
    if record.review is None or record.review.ask_id != decision.ask_id:
        raise InputError(f"run {record.run_id}: this decision is on an earlier question; see 'deskhand review'")
    return decision.verdict in _APPROVALS


def _actions(record: RunRecord, decision: Decision | None) -> Iterator[Action]:
    """Yield what is to be done: the reply first, then the approved actions in the order of their proposal."""
    asked = record.result if decision is None else record.review
    assert asked is not None, "a decision is stored only for a question"
    edited = decision.text if decision else None
    text = edited if edited is not None else asked.draft.text if asked.draft else ""
    if text.strip():
        yield _reply(record.run_id, text, decision.by if decision and edited is not None else "draft")
    chosen = decision.action_ids if decision else None
    for action in asked.actions:
        if action.verdict is not ActionVerdict.refused if chosen is None else action.id in chosen:
            yield action


def _reply(run_id: str, text: str, written_by: str) -> Action:
    return Action(
        id=REPLY,
        kind="helpdesk",
        name=REPLY,
        args={"text": text},
        provenance={"text": written_by},
        key=content_hash([run_id, REPLY]),  # without the text: one run sends one reply
        verdict=ActionVerdict.needs_approval,
    )


@dataclass(frozen=True)
class _Job:
    """One write-back under way."""

    record: RunRecord
    decision: Decision | None
    helpdesk: Helpdesk
    policy: Policy
    store: RunStore
    clock: Clock
    mode: str
    toolbox: Toolbox | None
    guard: WriteGuard | None

    async def carry_out(self, action: Action) -> Receipt:
        """Return the receipt of an action, which is carried out when there is none yet."""
        stored = _find(self.record, action.id)
        if stored is not None:
            return stored
        refusal = self._refusal(action)
        if refusal is None and self.guard:
            refusal = await self.guard.before(self.record, action)
        if refusal is not None:
            return await self._keep(_skipped(action, refusal))
        if action.kind == "tool":
            return await self._by_tool(action)
        receipt = await self._by_helpdesk(action)
        if self.guard:
            await self.guard.after(self.record, action, receipt)
        return await self._keep(receipt)

    def _refusal(self, action: Action) -> str | None:
        """Return why the action must not be done now, or None."""
        if self.mode == "shadow":
            return "shadow mode: nothing is written"
        judged = self.policy.judge(action.name, self._effect(action), action.args, action.provenance)
        if judged.verdict is ActionVerdict.refused:
            return f"the policy refuses it now: {judged.reason}"
        if judged.verdict is ActionVerdict.needs_approval and self.decision is None:
            return f"nobody has approved it: {judged.reason}"
        return None

    def _effect(self, action: Action) -> Effect:
        if action.name == REPLY and action.kind == "helpdesk":
            return Effect.write
        tools = [tool for tool in helpdesk_tools() if action.kind == "helpdesk"]
        tool = next((tool for tool in tools if tool.name == action.name), None) or self._tool(action)
        return tool.effect if tool else Effect.money  # what nobody knows is judged by the strictest rule

    def _tool(self, action: Action) -> Tool | None:
        return self.toolbox.find(action.name) if self.toolbox else None

    async def _by_helpdesk(self, action: Action) -> Receipt:
        try:
            return await self.helpdesk.apply(action, self.record.ticket.id)
        except StoreError:
            raise  # our own disk, not the helpdesk: nothing was done, and all of it can be done later
        except ConfigError as exc:
            raise _later(action, exc) from exc  # such as a revoked token, which a person will replace
        except InputError as exc:
            return _skipped(action, f"the helpdesk refuses it: {exc}")
        except Unavailable:
            raise
        except Exception as exc:  # the edge to a connector; a repeated call looks first whether it was done
            raise _later(action, exc) from exc

    async def _by_tool(self, action: Action) -> Receipt:
        tool = self._tool(action)
        if tool is None or self.toolbox is None:
            return await self._keep(_skipped(action, f"there is no tool {action.name!r} to carry it out; add it again"))
        if tool.is_keyed:
            return await self._keep(await self._called(action, self.toolbox, is_keyed=True))
        # The receipt is written first: after a crash it is there, and what cannot be repeated is not repeated.
        begun = _uncertain(action, "begun, and cut off before the tool answered")
        if not await asyncio.to_thread(self.store.add_receipt, self.record.run_id, begun):
            return await self._keep(begun)
        receipt = await self._called(action, self.toolbox, is_keyed=False)
        await asyncio.to_thread(self.store.settle_receipt, self.record.run_id, receipt)
        return receipt

    async def _called(self, action: Action, toolbox: Toolbox, *, is_keyed: bool) -> Receipt:
        ticket = self.record.ticket
        scope = Scope(ticket.id, ticket.requester, self.clock.now().date(), action_key=action.key)
        try:
            result = await toolbox.carry_out(action, scope)
        except (ToolFailed, ToolRetry) as exc:
            return _skipped(action, str(exc))
        except Exception as exc:  # the edge to code of others, a timeout included
            if is_keyed:
                raise _later(action, exc) from exc
            return _uncertain(action, f"{type(exc).__name__}: {exc}")
        # whatever it answered, it is done: an answer that is not JSON must not turn that into an error
        ref = result if isinstance(result, str) else json.dumps(result, default=str, sort_keys=True)
        return Receipt(action_id=action.id, status=ReceiptStatus.done, ref=ref)

    async def _keep(self, receipt: Receipt) -> Receipt:
        """Store a receipt and return it, or the one that somebody else stored meanwhile."""
        run_id = self.record.run_id
        if await asyncio.to_thread(self.store.add_receipt, run_id, receipt):
            return receipt
        return _find(await asyncio.to_thread(self.store.load, run_id), receipt.action_id) or receipt


def _find(record: RunRecord, action_id: str) -> Receipt | None:
    return next((receipt for receipt in record.receipts if receipt.action_id == action_id), None)


def _skipped(action: Action, why: str) -> Receipt:
    return Receipt(action_id=action.id, status=ReceiptStatus.skipped, detail=why)


def _later(action: Action, exc: Exception) -> Unavailable:
    return Unavailable(f"{action.id}: {type(exc).__name__}: {exc}; it is tried again, and looked for first")


def _uncertain(action: Action, why: str) -> Receipt:
    detail = f"{why}; look at the ticket, and do by hand what is missing"
    return Receipt(action_id=action.id, status=ReceiptStatus.uncertain, detail=detail)
