"""How much a suite can see: noise between repeats, the smallest drop it detects, and the repeats that it needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist, fmean, variance

CONFIDENCE = 0.97
POWER = 0.9
MAX_REPEATS = 200
_NORMAL = NormalDist()


def within_variance(repeats: Iterable[Sequence[float]]) -> float | None:
    """Return the mean variance between the repeats of a case, unbiased; None when no case was repeated."""
    found = [variance(values) for values in repeats if len(values) > 1]
    return fmean(found) if found else None


def flip_variance(noise: float) -> float:
    """Return the variance of a 0/1 score that is turned over with the chance ``noise``, in [0, 0.5]."""
    if not 0 <= noise <= 0.5:
        raise ValueError(f"a noise of {noise} is not within 0 to 0.5")
    return noise * (1 - noise)


def seen_share(mean_square: float, repeats: tuple[int, int]) -> float:
    """Return how much of a true drop is left in noisy scores, in [0, 1]: 1 - 2p for a flip chance p.

    Args:
        mean_square: Of the cases' differences between two runs. All of it is taken for noise, which is on the safe
            side: real changes make the result smaller.
        repeats: Of each case, in the two runs.
    """
    noise = mean_square / (1 / repeats[0] + 1 / repeats[1])
    return math.sqrt(max(0.0, 1 - 4 * noise))


def detection_power(
    drop: float, n_cases: int, repeats: int, noise_variance: float, *, confidence: float = CONFIDENCE
) -> float:
    """Return the chance, in [0, 1], that a gate sees ``drop``.

    The drop is that of the true scores: a share ``drop`` of the cases goes from right to wrong. Noise turns scores
    over on both sides and hides a part of it: with a flip chance p, only 1 - 2p of it is seen. The chance is the
    normal approximation of the paired sign-flip test.

    Args:
        drop: Share of cases, in (0, 1].
        n_cases: Cases; where tickets have several, tickets.
        repeats: Of each case, in the baseline and in the candidate.
        noise_variance: From ``within_variance`` or ``flip_variance``, in [0, 0.25].
        confidence: Of the gate.
    """
    alpha = (1 - confidence) / 2
    if drop * n_cases < math.log2(1 / alpha):
        return 0.0  # not even a run in which nothing but these cases changed could be told from chance
    seen = math.sqrt(max(0.0, 1 - 4 * noise_variance))
    noise = 2 * noise_variance / repeats / n_cases
    needed = _NORMAL.inv_cdf(1 - alpha) * math.sqrt(drop * seen**2 / n_cases + noise)
    if noise == 0:
        return float(drop * seen > needed)
    return _NORMAL.cdf((drop * seen - needed) / math.sqrt(noise))


def needed_repeats(
    drop: float, n_cases: int, noise_variance: float, *, confidence: float = CONFIDENCE, power: float = POWER
) -> int | None:
    """Return the repeats with which ``drop`` is seen with the chance ``power``; None when more cases are needed."""
    for repeats in range(1, MAX_REPEATS + 1):
        if detection_power(drop, n_cases, repeats, noise_variance, confidence=confidence) >= power:
            return repeats
    return None


def needed_cases(
    drop: float, repeats: int, noise_variance: float, *, confidence: float = CONFIDENCE, power: float = POWER
) -> int | None:
    """Return the cases with which ``drop`` is seen with the chance ``power``; None when a million are too few."""
    low, high = 0, 1_000_000
    if detection_power(drop, high, repeats, noise_variance, confidence=confidence) < power:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = detection_power(drop, middle, repeats, noise_variance, confidence=confidence) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def detectable_drop(
    n_cases: int, repeats: int, noise_variance: float, *, confidence: float = CONFIDENCE, power: float = POWER
) -> float | None:
    """Return the smallest drop that is seen with the chance ``power``, to 0.1 points; None when not even 1 is."""
    for thousandth in range(1, 1001):
        drop = thousandth / 1000
        if detection_power(drop, n_cases, repeats, noise_variance, confidence=confidence) >= power:
            return drop
    return None


def pass_hat_k(n: int, n_passed: int, k: int) -> float:
    """Estimate the chance that all of ``k`` repeats pass, unbiased, in [0, 1]: C(c, k) / C(n, k).

    Raises:
        ValueError: ``k`` is not within 1 to ``n``, or ``n_passed`` not within 0 to ``n``.

    Source: Yao et al. 2024, "tau-bench", eq. 1.
    """
    if not (1 <= k <= n and 0 <= n_passed <= n):
        raise ValueError(f"pass^{k} of {n_passed} in {n} is not defined; run at least {k} repeats")
    return math.comb(n_passed, k) / math.comb(n, k)
