"""Deliveries and decisions while the service is killed: is anything lost, doubled, or out of order?

``python benchmarks/chaos.py --deliveries 5000 --kills 30`` plays against a helpdesk that fails in every way
(``chaos_double.py``), ``--django --deliveries 1000 --kills 10`` against a real django-helpdesk and the real
``deskhand serve``, which is down for a while (``chaos_django.py``). Messages are delivered twice now and then, and out
of order; the service is killed with ``kill -9`` at random points, every second time in the middle of a write; each
decision is sent twice, through the service and from this process. It prints the counts as JSON and exits 1 when
anything was lost, doubled, out of order, or an answer to ourselves.

``chaos_play.py`` puts it together: ``chaos_process.py`` kills, ``chaos_reviewers.py`` decides, ``chaos_counts.py``
counts, ``chaos_graph.py`` drafts.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import chaos_django
import chaos_double
from chaos_play import Play

from deskhand.testing import build_workspace

HERE = Path(__file__).resolve().parent
CONFIG = """schema = 1
[brand]
name = "Chaosware"
[graphs]
default = "chaos"
[graphs.own]
chaos = "chaos_graph:build"
[runs]
at_once = 16
max_attempts = 100
breaker_runs = 1000
"""


def main() -> None:
    """Play, print the report, and exit 1 when anything is wrong."""
    args = _parse()
    rate = args.rate or (chaos_django.RATE if args.django else chaos_double.RATE)
    wanted = Play(args.seed, args.deliveries, args.kills, rate, args.thinking_s, args.settle_s)
    with tempfile.TemporaryDirectory() as scratch:
        folder = build_workspace((args.keep or Path(scratch)) / "workspace", config=CONFIG, articles={}, labelled=())
        shutil.copy(HERE / "chaos_graph.py", folder)
        started = time.monotonic()
        outcome = chaos_django.play(folder, wanted) if args.django else chaos_double.play(folder, wanted)
        wall_s = time.monotonic() - started
    begin = {"against": "django-helpdesk" if args.django else "the double", "seed": args.seed}
    end = {"whole": outcome.is_whole, **outcome.findings.report(), "wall_s": round(wall_s, 1)}
    print(json.dumps({**begin, "deliveries": args.deliveries, **outcome.report, **end}, indent=1))
    sys.exit(0 if outcome.is_whole and outcome.findings.is_good else 1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--django", action="store_true", help="play against a real django-helpdesk")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--deliveries", type=int, default=5000)
    parser.add_argument("--rate", type=float, help="messages a second")
    parser.add_argument("--thinking-s", type=float, default=6.0, help="a reviewer takes up to this long for a draft")
    parser.add_argument("--settle-s", type=float, default=900, help="how long the end may take")
    parser.add_argument("--keep", type=Path, help="keep the workspace and the logs in this new folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
