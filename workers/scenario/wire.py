"""Rows as JSON: what ordinary events look like on the topic, made by putting ready pieces together.

No JSON encoder is asked for an ordinary event: its strings are known beforehand, its numbers are two integers and a
time. That makes most of a million events a second, so that a measurement never measures its feed.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import NamedTuple

import numpy as np

from workers.scenario.columns import DAY_S, EPOCH, Rows
from workers.scenario.frame import Ints
from workers.scenario.rows import Scenario

UTC_BEHIND_S = 8 * 3600  # of Asia/Shanghai, which has had no summer time since 1991


class Fields(NamedTuple):
    """The fields of one event as JSON texts (strings with their quotes); `industry` and `period` None where absent."""

    source: str
    seq: str
    city: str
    indicator: str
    industry: str | None
    op: str
    value: str
    at: str
    period: str | None

    def text(self) -> str:
        """The JSON object. A field set to None is left out, whichever it is."""
        return "{" + ",".join(f'"{name}":{text}' for name, text in self._asdict().items() if text is not None) + "}"


class Wire:
    """The ready pieces of one scenario."""

    def __init__(self, scenario: Scenario) -> None:
        """Makes about 20,000 short strings (10 ms)."""
        self.scenario = scenario
        self.first_day = (scenario.first - EPOCH).days - 1
        self.heads = [f'{{"source":"{name}","seq":' for name in scenario.sources]
        self.middles = [
            f',"city":"{city}","indicator":"{code}",'
            + (f'"industry":"{industry}",' if industry else "")
            + f'"op":"{op}","value":'
            for city in scenario.codes
            for (code, industry), op in zip(scenario.whats, scenario.ops, strict=True)
        ]
        self.cents = [f".{i:02d}" for i in range(100)]

    @cached_property
    def days(self) -> list[str]:
        """The date piece of each day from the day before the scenario's first, for 1,200 days."""
        return [f',"at":"{EPOCH + timedelta(days=self.first_day + i)}T' for i in range(1200)]

    @cached_property
    def clock(self) -> list[str]:
        """The time piece of each second of a day: first local times, then times in UTC."""
        times = [f"{h:02d}:{m:02d}:{s:02d}" for h in range(24) for m in range(60) for s in range(60)]
        return [f'{time}+08:00"}}' for time in times] + [f'{time}Z"}}' for time in times]

    def texts(self, rows: Rows, seq: Ints) -> list[str]:
        """One JSON object per row."""
        utc = self.scenario.utc[rows.source]
        at = rows.at - UTC_BEHIND_S * utc
        size = np.abs(rows.amount)
        places = np.asarray(self.scenario.decimals)[rows.what]
        heads, middles, cents, days, clock = self.heads, self.middles, self.cents, self.days, self.clock
        texts = [
            f"{heads[s]}{q}{middles[m]}{w}{cents[c]}{days[d]}{clock[t]}"
            for s, q, m, w, c, d, t in zip(
                rows.source.tolist(),
                seq.tolist(),
                (rows.city * len(self.scenario.whats) + rows.what).tolist(),
                (size // 100).tolist(),
                (size % 100).tolist(),
                (at // DAY_S - self.first_day).tolist(),
                (at % DAY_S + DAY_S * utc).tolist(),
                strict=True,
            )
        ]
        for i in np.flatnonzero(places != 2).tolist():
            head, _, tail = texts[i].partition('"value":')
            value = f"{size[i] / 10 ** places[i]:.{places[i]}f}"
            texts[i] = f'{head}"value":{value}{tail[tail.index(",") :]}'
        for i in np.flatnonzero(rows.amount < 0).tolist():
            texts[i] = texts[i].replace('"value":', '"value":-')
        for i in np.flatnonzero(rows.period >= 0).tolist():
            texts[i] = f'{texts[i][:-1]},"period":"{self.scenario.periods[rows.period[i]]}"}}'
        return texts

    def fields(self, rows: Rows, i: int, seq: int) -> Fields:
        """Row `i`, a daily one, field by field, for faults to change."""
        code, industry = self.scenario.whats[int(rows.what[i])]
        day, time = divmod(int(rows.at[i]), DAY_S)
        return Fields(
            source=f'"{self.scenario.sources[int(rows.source[i])]}"',
            seq=str(seq),
            city=f'"{self.scenario.codes[int(rows.city[i])]}"',
            indicator=f'"{code}"',
            industry=f'"{industry}"' if industry else None,
            op='"add"',
            value=f"{int(rows.amount[i]) / 100}",
            at=f"{self.days[day - self.first_day][6:]}{self.clock[time][:-1]}",
            period=None,
        )
