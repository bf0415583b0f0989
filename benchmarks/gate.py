"""The gate's own test: false FAIL when nothing changed, and how surely a planted drop of 5 points is seen.

    python benchmarks/gate.py [--runs 2000] [--json]

400 cases of which 340 are right; every score is turned over with a chance of 2 % or 10 %, on both sides. The repeats
are those that the power calculation asks for.
"""

from __future__ import annotations

import argparse
import json

from deskhand_evals.power import flip_variance, needed_repeats
from deskhand_evals.selftest import SelfTest, simulate

N_CASES, N_RIGHT, DROP = 400, 340, 0.05


def measure(noise: float, repeats: int, drop: float, runs: int) -> SelfTest:
    """Return what the gate said in ``runs`` comparisons."""
    right = [1.0] * N_RIGHT + [0.0] * (N_CASES - N_RIGHT)
    return simulate(right, noise, repeats=repeats, drop=drop, max_drop=DROP, n=runs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for noise in (0.02, 0.1):
        needed = needed_repeats(DROP, N_CASES, flip_variance(noise))
        for repeats in sorted({1, needed or 1}):
            for drop in (0.0, DROP):
                found = measure(noise, repeats, drop, options.runs)
                rows.append({"noise": noise, "repeats": repeats, "needed": needed, "drop": drop, **found._asdict()})
    if options.json:
        print(json.dumps(rows))
        return
    print("noise  repeats  needed   drop     PASS     FAIL  INCONCLUSIVE")
    for row in rows:
        print(
            f"{row['noise']:5.0%}  {row['repeats']:7}  {row['needed']:6}  {row['drop']:5.0%}"
            f"  {row['passed']:7.1%}  {row['failed']:7.1%}  {row['inconclusive']:12.1%}"
        )


if __name__ == "__main__":
    main()
