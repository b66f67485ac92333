"""The reports of a planted play as messages of `indicator-events`: one event each, in the order of the time of day."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workers.scenario.daily import Daily
from workers.scenario.planted import Report
from workers.scenario.play import Message

FROM_S, UNTIL_S = 6 * 3600, 24 * 3600  # of the local day, as in the scenario itself


class PlantedEvents:
    """Numbers each source's events in the order in which they are sent, so a partition sees them rise."""

    def __init__(self, days: Daily, industries: dict[str, str], first_seq: int = 1) -> None:
        """`industries`: the industry that each indicator's events name (`all`: none). Times are +08:00."""
        self._days = days
        self._next = [first_seq] * len(days.sources)
        self._middles = {
            (city, i): f',"city":"{code}","indicator":"{name}","industry":"{industries[name]}","op":"add","value":'
            for city, code in enumerate(days.frame.codes)
            for i, name in enumerate(days.indicators)
        }

    def messages(self, reports: Sequence[Report]) -> list[Message]:
        """What is sent on one day: its own report over the day, late ones in between. The key is the city."""
        parts = []
        for report in reports:
            i, city = np.nonzero(report.amounts.T)
            n = len(city)
            seconds = FROM_S + np.arange(n) * (UNTIL_S - FROM_S) // max(n, 1)
            date = self._days.day(report.of_day).isoformat()
            parts += [
                (second, where, what, date)
                for second, where, what in zip(seconds.tolist(), city.tolist(), i.tolist(), strict=True)
            ]
        amounts = {self._days.day(report.of_day).isoformat(): report.amounts for report in reports}
        parts.sort(key=lambda part: part[0])
        return [self._message(*part, int(amounts[part[3]][part[1], part[2]])) for part in parts]

    def whole(self, amounts: NDArray[np.int64], day: int, period: str) -> list[Message]:
        """Amounts (city, indicator) of a whole `period`, stated in the first seconds of `day`."""
        found = np.argwhere(amounts).tolist()
        date = self._days.day(day).isoformat()
        return [
            self._message(n % 3600, city, i, date, int(amounts[city, i]), f',"period":"{period}"')
            for n, (city, i) in enumerate(found)
        ]

    def _message(self, second: int, city: int, indicator: int, date: str, amount: int, period: str = "") -> Message:
        source = int(self._days.source_of[city, indicator])
        seq = self._next[source]
        self._next[source] += 1
        time = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        text = (
            f'{{"source":"{self._days.sources[source]}","seq":{seq}{self._middles[city, indicator]}'
            f'{amount // 100}.{amount % 100:02d},"at":"{date}T{time}+08:00"{period}}}'
        )
        return Message(self._days.frame.codes[city].encode(), text.encode())
