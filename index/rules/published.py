"""What one revision brings to the rules: its updates, its deltas, its watermark. Messages of `stream.messages` fit."""

# ruff: noqa: D102 (the fields are those of the messages: docs/formats.md section 6)
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Update(Protocol):
    """One entity's values in one period, as on `index-updates`."""

    @property
    def entity(self) -> str: ...
    @property
    def period(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def value(self) -> float | None: ...
    @property
    def coverage(self) -> float: ...
    @property
    def nodes(self) -> Mapping[str, float | None]: ...
    @property
    def growth(self) -> Mapping[str, float | None]: ...
    @property
    def days(self) -> int | None: ...


class Moved(Protocol):
    """Columns of the rows that moved, as in `ranking-deltas`."""

    @property
    def entity(self) -> Sequence[str]: ...
    @property
    def rank(self) -> Sequence[int | None]: ...


class Delta(Protocol):
    """How one table changed, as on `ranking-deltas`."""

    @property
    def ranking(self) -> str: ...
    @property
    def period(self) -> str: ...
    @property
    def scope(self) -> str | None: ...
    @property
    def revision(self) -> int: ...
    @property
    def moved(self) -> Moved: ...
    @property
    def shifted(self) -> Sequence[tuple[int, int, int]]: ...


@dataclass(slots=True)
class Published:
    """A revision. `watermark_us` None: no event yet; `removed`: (entity, period) that are no more.

    `sources`: highest sequence number of each source so far (summed over partitions), where somebody looked.
    """

    revision: int
    watermark_us: int | None
    updates: Sequence[Update] = ()
    deltas: Sequence[Delta] = ()
    removed: Sequence[tuple[str, str]] = ()
    sources: Mapping[str, int] = field(default_factory=dict)
