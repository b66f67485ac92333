"""The process beside an alert worker that finds the causes of one turn's alerts, and ends.

One job comes in on standard input, a line of JSON; one answer goes out on standard output. It ends when its input does,
so with its worker, however that ended.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterable
from typing import Any

import msgspec

from index.explain import explain
from index.explain_parts import CITY, INDICATOR, Part
from index.periods import Period
from workers.logs import configure
from workers.now import board_now
from workers.settings import Settings

MOST = 3
BOUND_S = 90.0  # above the bounds of what it asks Kafka and Redis for (workers.now)
NICENESS = 10  # behind the rules and everything else that is due
Subject = tuple[str, str]  # entity, period


class Job(msgspec.Struct):
    """`redis`, `options`: as in the settings, secrets and all. `subjects`: whose move is to be split."""

    kafka: str
    options: dict[str, Any]
    redis: str
    system: str
    subjects: list[Subject]


class Answer(msgspec.Struct):
    """`causes`: of the job's subjects, in their order; `error`: why there are none, "" where there are."""

    causes: list[dict[str, Any]]
    error: str = ""


def find(settings: Settings, system: str, subjects: Iterable[Subject]) -> list[dict[str, Any]]:
    """Of each the three indicators and the three cities that explain most of its `move` (from `other` to `period`).

    A subject that has no split has a `reason` instead of parts. Loads the cells once; blocking. Errors: those of
    `workers.now.board_now`.
    """
    now = board_now(settings, system)
    found: list[dict[str, Any]] = []
    for entity, period in subjects:
        try:
            told = explain(now.boards[0].system, entity, Period.parse(period))
        except ValueError as error:  # the definition was changed meanwhile
            found.append({"reason": str(error)})
            continue
        where = now.where()
        found.append(
            {
                "period": told.period,
                "other": told.other,
                "days": told.days,
                "move": told.move,
                "growth": told.growth,
                "reason": told.reason,
                "indicators": _first(told.indicators, INDICATOR, told.move),
                "cities": _first(told.cities, CITY, told.move),
                **{name: where[name] for name in ("revision", "at_revision")},
            }
        )
    return found


def _first(parts: list[Part], cause: str, move: float | None) -> list[dict[str, Any]]:
    """Those that drive the move: its direction first, the largest first."""
    sign = -1.0 if move is not None and move < 0 else 1.0
    chosen = sorted((part for part in parts if part.cause == cause), key=lambda part: -sign * part.move)
    return [{**msgspec.to_builtins(part), "share": part.move / move if move else None} for part in chosen[:MOST]]


def _answer_to(line: bytes) -> Answer:
    try:
        job = msgspec.json.decode(line, type=Job)
        settings = Settings(kafka=job.kafka, kafka_options=job.options, redis=job.redis)
        return Answer(find(settings, job.system, job.subjects))
    except Exception as error:  # the worker says it
        return Answer([], f"{type(error).__name__}: {error}")


def _end_with_input() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches it too; its worker ends it
    os.nice(NICENESS)
    configure(Settings().log_format, logging.WARNING)  # on standard error: the answer stands alone on standard output
    given = sys.stdin.buffer.readline()
    threading.Thread(target=_end_with_input, daemon=True).start()
    sys.stdout.buffer.write(msgspec.json.encode(_answer_to(given)))
