"""Weights of siblings: given ones, and those of an expert panel.

A panel of n experts scores each of m siblings from 1 to 5; the weight of j = sum of its scores / sum of all scores
(method sections of DTI-2022 and DCI-2020). The sums are integers and there is one division, so the result has one
rounding.
"""

from collections.abc import Sequence

LOWEST_SCORE, HIGHEST_SCORE = 1, 5
SUM_TOLERANCE = 1e-9  # given weights are decimal fractions; their sum as doubles misses 1 by some 1e-16
LEAST_WEIGHT = 1e-9  # a weight of 0 could leave nothing to divide by when weights are renormalised


def panel_weights(scores: Sequence[Sequence[int]]) -> tuple[float, ...]:
    """experts x siblings whole scores -> one weight per sibling; ValueError for ragged rows or scores outside 1..5."""
    if not scores or not scores[0]:
        raise ValueError("a panel needs at least one expert and one score")
    n = len(scores[0])
    for number, row in enumerate(scores, start=1):
        if len(row) != n:
            raise ValueError(f"expert {number} has {len(row)} scores, expert 1 has {n}; give one per child")
        for score in row:
            if type(score) is not int or not LOWEST_SCORE <= score <= HIGHEST_SCORE:
                raise ValueError(f"expert {number} has the score {score!r}; scores are whole numbers from 1 to 5")
    total = sum(map(sum, scores))
    return tuple(sum(row[j] for row in scores) / total for j in range(n))


def given_weights(weights: Sequence[float]) -> tuple[float, ...]:
    """The weights as floats, unchanged; ValueError unless each is a positive number and they sum to 1 within 1e-9."""
    for weight in weights:
        if type(weight) not in (int, float) or not LEAST_WEIGHT <= weight <= 1:
            raise ValueError(f"{weight!r} is no weight; weights lie above 0 and up to 1")
    total = sum(weights)
    if abs(total - 1) > SUM_TOLERANCE:
        raise ValueError(f"the weights sum to {total!r}; they must sum to 1 (within 1e-9)")
    return tuple(map(float, weights))
