"""Making a failing case small: fewer messages, then fewer bytes in each, for as long as it still fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from tests.fuzz.made_logs import Record

T = TypeVar("T")


def fewer(items: Sequence[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """A part of `items` that still fails, and without any one run of which it no longer does (ddmin, halves first)."""
    kept, size = list(items), max(1, len(items) // 2)
    while True:
        begin, less = 0, False
        while begin < len(kept):
            without = kept[:begin] + kept[begin + size :]
            if without and fails(without):
                kept, less = without, True
            else:
                begin += size
        if size == 1 and not less:
            return kept
        size = max(1, size // 2)


def smaller(
    logs: list[list[Record]], fails: Callable[[list[list[Record]]], bool], budget_s: float = 60.0
) -> list[list[Record]]:
    """The logs with what does not matter left out; `fails` says whether a case still fails. Within about `budget_s`."""
    deadline = time.monotonic() + budget_s

    def again(records: list[Record]) -> bool:
        return time.monotonic() < deadline and fails(_by_partition(records, len(logs)))

    records = fewer([record for log in logs for record in log], again)
    for place in range(len(records)):
        records = _shorter(records, place, again)
    return _by_partition(records, len(logs))


def _shorter(records: list[Record], place: int, fails: Callable[[list[Record]], bool]) -> list[Record]:
    value = records[place].value
    if value is None or len(value) < 2:
        return records

    def with_value(part: list[int]) -> list[Record]:
        return [*records[:place], records[place]._replace(value=bytes(part)), *records[place + 1 :]]

    return with_value(fewer(list(value), lambda part: fails(with_value(part))))


def _by_partition(records: list[Record], partitions: int) -> list[list[Record]]:
    return [[r for r in records if r.partition == p] for p in range(partitions)]
