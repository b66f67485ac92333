"""Waiting for what another process does: a condition and a bound, never a fixed sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Between two looks: short against what is waited for, long against what a look costs.
LOOK_S = 0.02


class NotInTimeError(AssertionError):
    """A condition did not come true within its bound; the message says what was seen last."""


def eventually(condition: Callable[[], T], timeout_s: float = 15.0, said: Callable[[], object] = str) -> T:
    """The first true result of `condition`. It may fail with an AssertionError or an OSError until then.

    `said` is asked for the message when the bound passes (the end of a worker's log, say). Raises NotInTimeError.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            last: object = (result := condition())
            if result:
                return result
        except (AssertionError, OSError) as error:  # what is asked may not listen, or not hold, yet
            last = error
        if time.monotonic() > deadline:
            name = getattr(condition, "__qualname__", condition)
            raise NotInTimeError(f"{name}: not within {timeout_s} s; last seen: {last!r} {said()}".rstrip())
        time.sleep(LOOK_S)
