"""The scorer of end states: what became of the ticket and of the order database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deskhand_evals.report import MeasureSpec
from deskhand_evals.scorers import Case, Compared, Output, Scored, Unscored
from deskhand_evals.support_scorers import state_difference


class EndState(Compared):
    """1 when the ticket and the order database are as expected once the approved actions were done.

    Expected is ``{ticket, database}``. Of the ticket, only what is named counts. Of the database, the rows that
    changed must be exactly the named ones; of each, the named columns count: ``{"orders": {"HF-1": {"status": "x"}}}``.
    Without ``database``, nothing there may have changed. For the targets ``applied`` and ``conversation``.
    """

    measures = (MeasureSpec(name=""), MeasureSpec(name="ticket"), MeasureSpec(name="database"))

    def score(self, case: Case, output: Output) -> Scored:
        """Compare what became of the world with what should have."""
        wanted, found = self.wanted(case), self.found(output)
        if not isinstance(wanted, Mapping) or not wanted:
            raise Unscored(f"{self.expected!r} of the case is not an end state with a ticket or a database")
        if not isinstance(found, Mapping) or not {"ticket", "database"} <= set(found):
            raise Unscored("the output has no 'ticket' and 'database'; use the target applied or conversation")
        ticket = state_difference(wanted.get("ticket", {}), found["ticket"], "ticket")
        database = _database_difference(wanted.get("database", {}), found["database"])
        values = {"": float(not ticket and not database), "ticket": float(not ticket), "database": float(not database)}
        return Scored(values, note="; ".join(filter(None, (ticket, database))))


def _database_difference(wanted: Any, found: Any) -> str:
    named = {(table, key) for table, rows in wanted.items() for key in rows}
    changed = {(table, key) for table, rows in found.items() for key in rows}
    if named != changed:
        table, key = min(named ^ changed)
        return f"{table} {key}: {'changed' if (table, key) in changed else 'did not change'}"
    return state_difference(wanted, found, "database")
