"""What goes wrong on the way, as columns: late events, corrections and restatements. Totals stay as they were.

A correction takes back what was reported too much; a restatement moves a part of a closed quarter's amount to an
event that names the quarter. Restatements are sent in the scenario's last quarter and concern its first year only
(`restated` in the calibration): a restated amount has no days, so growth to date against a restated period is missing
(`no-days`), and by then nothing open is compared with that year.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from workers.scenario.columns import CORRECTION, DAY_S, EPOCH, LATE, RESTATEMENT, Rows

LATE_S = (2 * 3600, 21 * DAY_S)
CORRECTED_AFTER_S = (3600, 5 * DAY_S)


@dataclass(frozen=True)
class Rates:
    """Parts of the ordinary events (fractions, 0 to 1) to which each fault happens; the default shows all of them.

    `odd` is none: events that are right, but written in an unusual way.
    """

    duplicates: float = 0.01
    late: float = 0.01
    corrections: float = 0.003
    restatements: float = 0.001
    bad: float = 0.002
    odd: float = 0.002

    @classmethod
    def none(cls) -> Rates:
        """A clean feed."""
        return cls(0, 0, 0, 0, 0, 0)


def disturb(
    rows: Rows, quarter: str, q: int, rates: Rates, restated: dict[str, Any], until_s: int, rng: Generator
) -> Rows:
    """`rows` of one quarter with late events, corrections and restatements; nothing is sent after `until_s`.

    `restated`: as in the calibration, `year`, and the days `from` and `until` of the restatements.
    """
    made = [rows]
    if rates.corrections:
        chosen = np.flatnonzero((rng.random(len(rows)) < rates.corrections) & (rows.amount > 1))
        wrong = rows.take(chosen)
        excess = np.maximum(1, (wrong.amount * rng.uniform(0.1, 0.9, len(wrong))).astype(np.int64))
        rows.amount[chosen] += excess
        at = np.minimum(wrong.at + 60, wrong.at // DAY_S * DAY_S + DAY_S - 1)  # same day, or the day's sum would be off
        sent = wrong.emit + rng.integers(*CORRECTED_AFTER_S, len(wrong))
        made.append(
            wrong.but(amount=-excess, at=at, emit=np.minimum(sent, until_s), kind=np.full(len(wrong), CORRECTION))
        )
    restate_s = [(day - EPOCH).days * DAY_S for day in (restated["from"], restated["until"])]
    if rates.restatements and int(quarter[:4]) == restated["year"] and restate_s[1] <= until_s:
        chosen = np.flatnonzero((rng.random(len(rows)) < rates.restatements) & (rows.amount >= 20))
        part = rows.take(chosen)
        moved = part.amount // 20
        rows.amount[chosen] -= moved
        at = rng.integers(*restate_s, len(part))
        same = np.ones(len(part), dtype=np.int64)
        made.append(part.but(amount=moved, at=at, emit=at, period=same * q, kind=same * RESTATEMENT))
    made[0] = delayed(rows, rates, until_s, rng)
    return Rows.join(made)


def delayed(rows: Rows, rates: Rates, until_s: int, rng: Generator) -> Rows:
    """`rows`, some of them sent late; nothing is sent after `until_s`."""
    if not rates.late:
        return rows
    chosen = np.flatnonzero(rng.random(len(rows)) < rates.late)
    lag = np.exp(rng.uniform(np.log(LATE_S[0]), np.log(LATE_S[1]), len(chosen))).astype(np.int64)
    emit, kind = rows.emit.copy(), rows.kind.copy()
    emit[chosen] = np.minimum(emit[chosen] + lag, until_s)
    kind[chosen] = LATE
    return rows.but(emit=emit, kind=kind)
