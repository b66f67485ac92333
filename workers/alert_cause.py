"""Why an alert fires: the three indicators and the three cities that explain most of the move, from `explain`.

Loads the cells from Redis once for all alerts of a turn. Blocking, some seconds at worst: never in the rules' way.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import Any

import msgspec

from index.explain import explain
from index.explain_parts import CITY, INDICATOR, Part
from index.periods import Period
from workers.now import board_now
from workers.settings import Settings

MOST = 3
Subject = tuple[str, str]  # entity, period


def causes_of(settings: Settings, system: str, subjects: Iterable[Subject]) -> dict[Subject, dict[str, Any]]:
    """The cause of each, as JSON: of `move` (from `other` to `period`) the parts by indicator and by city.

    Errors: those of `workers.now.board_now`. A subject that has no split has a `reason` instead of parts.
    """
    now = board_now(settings, system)
    found = {}
    for entity, period in subjects:
        try:
            told = explain(now.boards[0].system, entity, Period.parse(period))
        except ValueError as error:  # the definition was changed meanwhile
            found[entity, period] = {"reason": str(error)}
            continue
        found[entity, period] = {
            "period": told.period,
            "other": told.other,
            "days": told.days,
            "move": told.move,
            "growth": told.growth,
            "reason": told.reason,
            "indicators": _first(told.indicators, INDICATOR, told.move),
            "cities": _first(told.cities, CITY, told.move),
            **{name: now.where()[name] for name in ("revision", "at_revision")},
        }
    # Boards have cycles, and a worker's collector seldom runs (workers.run.prepare_process): the young ones, at once.
    del now
    gc.collect(1)
    return found


def _first(parts: list[Part], cause: str, move: float | None) -> list[dict[str, Any]]:
    """Those that drive the move: its direction first, the largest first."""
    sign = -1.0 if move is not None and move < 0 else 1.0
    chosen = sorted((part for part in parts if part.cause == cause), key=lambda part: -sign * part.move)
    return [{**msgspec.to_builtins(part), "share": part.move / move if move else None} for part in chosen[:MOST]]
