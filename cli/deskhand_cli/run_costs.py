"""What the models of one run cost, by agent: out of the ledger, with the prompts that the run record names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deskhand.config import WorkspaceFolder
    from deskhand.records import RunRecord
    from deskhand_models import CostRow

_NOTHING = (0, 0, 0, 0, 0.0, 0.0)


@dataclass(frozen=True)
class AgentCost:
    """What one model took from one agent in a run.

    Args:
        agent: The agent that asked.
        prompt: The version of its prompt, ``name@hash``; "" when it has none.
        model: The model's name in the configuration; "" where none was asked, because no budget was left or all were
            out of order.
        n_attempts: Requests that were sent.
        n_answers: Those that were answered.
        prompt_tokens: Tokens in, by the provider's count where there is one.
        completion_tokens: Tokens out.
        cost_usd: What was spent or stays reserved.
        open_usd: The part of it that was reserved and never settled.
    """

    agent: str
    prompt: str
    model: str
    n_attempts: int
    n_answers: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    open_usd: float


def costs_of_run(folder: WorkspaceFolder, record: RunRecord) -> list[AgentCost]:
    """Return a row for each agent and model of a run, dearest first, then agents whose models were never asked.

    Without a ledger, as after a move to another machine, only the prompts are known.
    """
    prompts = _prompts(record)
    rows = [_with_prompt(row, prompts) for row in _ledger_rows(folder, record.run_id)]
    asked = {row.agent for row in rows}
    unasked = (agent for agent in prompts if agent not in asked)
    return [*rows, *(AgentCost(agent, prompts[agent], "", *_NOTHING) for agent in unasked)]


def _prompts(record: RunRecord) -> dict[str, str]:
    """Return ``name@hash`` by agent: a prompt is named after the agent that it is for."""
    evidence = record.result.evidence if record.result else ()
    return {found.ref.partition("@")[0]: found.ref for found in evidence if found.kind == "prompt"}


def _ledger_rows(folder: WorkspaceFolder, run_id: str) -> list[CostRow]:
    from deskhand_models import Ledger

    if not folder.ledger.is_file():
        return []
    ledger = Ledger(folder.ledger)
    try:
        return ledger.costs("agent_and_model", run_id=run_id)
    finally:
        ledger.close()


def _with_prompt(row: CostRow, prompts: dict[str, str]) -> AgentCost:
    agent, _, model = row.key.partition(" ")
    return AgentCost(
        agent, prompts.get(agent, ""), model, row.n_attempts, row.n_answers, row.prompt_tokens, row.completion_tokens,
        row.cost_usd, row.open_usd,
    )  # fmt: skip
