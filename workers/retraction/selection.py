"""Which events a retraction is about, and the source that its compensating events come from.

What compensates `pay-east` comes from `pay-east/retract`: behind it in the order of sources, so that at the same time
its level wins; what takes that back comes from `pay-east/retract/retract`. These are the source's chain. A selection
is of the chain: earlier compensations are a part of what the source amounts to.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

SUFFIX = "/retract"
LONGEST = 64  # characters of a source
DEPTH = 16  # retractions of retractions of ...


def compensator(source: str) -> str:
    """The source of what compensates `source`; a name that would be too long is replaced by its digest."""
    name = source + SUFFIX
    return name if len(name) <= LONGEST else f"retract/{sha256(source.encode()).hexdigest()[:24]}"


def chain(source: str) -> tuple[str, ...]:
    """`source`, what compensates it, what compensates that, and so on."""
    names = [source]
    for _ in range(DEPTH):
        names.append(compensator(names[-1]))
    return tuple(names)


@dataclass(frozen=True, slots=True)
class Selection:
    """Accepted events of `source`, of `indicator` (None: of all), with `begin_us` <= `at` < `end_us` (None: any)."""

    source: str
    indicator: str | None = None
    begin_us: int | None = None
    end_us: int | None = None
