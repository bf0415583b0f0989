"""The other end of ``scorer_process``: calls a function of the user's on what comes in, a line of JSON each.

It is run as a file, which does not load the package around it: that takes longer than most scorers.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from deskhand.attributes import load_attribute


def serve(lines: Iterable[str], reply: Callable[[str], object]) -> None:
    """Answer every line after the first, ``[function, workspace, import path]``, with ``{"said": ...}`` or an error."""
    requests = iter(lines)
    name, folder, path = json.loads(next(requests))
    sys.path[:] = path
    for line in requests:
        reply(json.dumps(_answer(name, folder, *json.loads(line))) + "\n")


def _answer(name: str, folder: str, case: Any, output: Any) -> dict[str, Any]:
    try:
        said = load_attribute(name, Path(folder), key="scorer.function")(case, output)
        if inspect.iscoroutine(said):
            import asyncio

            said = asyncio.run(said)
        return {"said": json.loads(json.dumps(said, default=_as_number))}
    except (Exception, SystemExit) as exc:  # the edge to code of others
        from deskhand_evals.scoring import explain

        return {"error": explain(exc)}


def _as_number(value: Any) -> float | str:
    """Return a number of another library as ours; what is none goes back in words, and is refused there."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return repr(value)


def main() -> None:
    """Answer on what was standard output; what the function prints goes to standard error."""
    with os.fdopen(os.dup(1), "w", buffering=1) as replies:
        os.dup2(2, 1)
        serve(sys.stdin, replies.write)


if __name__ == "__main__":
    main()
