"""The parts of a move, and their exact sum.

Parts are doubles, each rounded, so their sum misses the move by some last bits. `settled` puts these on the largest
part, or what that is too coarse for (great parts that cancel) on a smaller one: then `math.fsum` of the parts is the
move, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from msgspec import Struct

INDICATOR = "indicator"  # the move of a leaf's own amounts
CITY = "city"  # of a member's
REFERENCE = "reference"  # what a leaf is measured against moved: extremes, moments or ranks of the entities
AVAILABILITY = "availability"  # below the node named, indicators came or went, and the others' weights moved
MEMBERSHIP = "membership"  # members of the group came or went
TOGETHER = "together"  # by city: what cannot be told apart by city (ranks, entropy)
ROUNDING = "rounding"  # last bits for which every other part is too coarse: great parts that cancel
ROUNDED = 1e-12  # relative: what a part may take up of the remainder without saying something else
TRIES = 8  # each leaves at most the last bit of the part that took it up
OTHERS = "others"  # the sum of the parts that are not shown


class Amount(Struct, frozen=True):
    """An indicator's exact amount before and after, in units of 10^-decimals of `unit`; None: missing."""

    before: int | None
    after: int | None
    decimals: int
    unit: str


class Part(Struct, frozen=True):
    """One part of a move. `cause`: a word above; `name`: of the leaf, node or city; `before`, `after`: its own value
    (None: missing, or it has none); `note`: what came or went."""

    cause: str
    name: str
    move: float
    before: float | None = None
    after: float | None = None
    amount: Amount | None = None
    note: str = ""


class Cell(Struct, frozen=True):
    """The part of one leaf (or other cause) in one city; `city` None: together."""

    cause: str
    name: str
    city: str | None
    move: float


def settled(moves: Sequence[float], total: float) -> tuple[list[float], float]:
    """The moves with their rounding remainder on the largest that is fine enough for it, so that `math.fsum` of them is
    `total`; and what would be more than rounding to that one, or is too fine for all. O(n log n)."""
    parts = list(moves)
    order = sorted(range(len(parts)), key=lambda i: -abs(parts[i]))
    for _ in range(TRIES):
        if math.fsum(parts) == total:
            return parts, 0.0
        left = _left(parts, total)
        place = next((i for i in order if math.ulp(parts[i]) <= abs(left)), None)
        if place is None or abs(left) > ROUNDED * abs(parts[place]):
            return parts, left
        parts[place] += left
    return parts, 0.0 if math.fsum(parts) == total else _left(parts, total)


def _left(parts: Sequence[float], total: float) -> float:
    return math.fsum((total, *(-part for part in parts)))


def exactly(parts: Sequence[Part], total: float) -> list[Part]:
    """The parts, their sum made `total`, the largest first (then by cause and name), without those that are 0."""
    moves, left = settled([part.move for part in parts], total)
    made = [_with(part, move) for part, move in zip(parts, moves, strict=True)]
    if left:
        made.append(Part(ROUNDING, "", left))
    return sorted((p for p in made if p.move != 0.0), key=lambda p: (-abs(p.move), p.cause, p.name))


def first(parts: Sequence[Part], n: int, total: float) -> list[Part]:
    """The first n parts, and one of the `others`; their sum is `total`, as that of all. n = 0: all of them."""
    if not n or len(parts) <= n:
        return list(parts)
    others = _left([part.move for part in parts[:n]], total)
    moves, left = settled([*(part.move for part in parts[:n]), others], total)
    shown = [_with(part, move) for part, move in zip(parts, moves[:n], strict=False)]
    shown.append(Part(OTHERS, "", moves[n], note=f"{len(parts) - n} more"))
    return [*shown, Part(ROUNDING, "", left)] if left else shown


def _with(part: Part, move: float) -> Part:
    return part if part.move == move else msgspec.structs.replace(part, move=move)
