"""The catalogue: which entities, groups, indicators and industries are known, and the limits that decide acceptance.

docs/formats.md section 1. A value, never changed after it was made: a new version is a new object. The columns that the
wire and Redis hold are fields; what follows from them (positions, members, the calendar) is computed at first use and
kept.

Base entities are numbered in code order ("city index"), indicators and the industries of a set in file order; these
numbers live no longer than the object, so they are never stored or sent.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import NewType

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from index.errors import CatalogueError
from index.periods import LocalCalendar

CityIndex = NewType("CityIndex", int)
IndicatorIndex = NewType("IndicatorIndex", int)

ALL = "all"  # the only industry of an indicator without industries
MAX_CELL = 10**15  # below 2^53, so every cell is exact as a double, in Lua and in JavaScript


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds that decide acceptance. Part of the catalogue, so that every worker decides alike."""

    window: int = 4096  # sequence numbers per source and partition
    jump: int = 2**48  # furthest leap of a sequence number
    cell: int = MAX_CELL  # absolute value of an event and of a running cell stays below, in units of 10^-decimals
    future_s: int = 86_400  # how far an event may lie after its record's Kafka timestamp
    message_bytes: int = 16 * 2**20
    event_bytes: int = 64 * 2**10


class Entity(Struct, frozen=True, forbid_unknown_fields=True):
    """A base entity (kind = the catalogue's base kind, bare code) or a group (code `kind:slug`)."""

    code: str
    kind: str
    name: str
    name_en: str = ""


class Indicator(Struct, frozen=True, forbid_unknown_fields=True):
    """One measured quantity. `kind` is `flow` or `stock`; `industries` names an industry set or is empty."""

    code: str
    name: str
    name_en: str
    kind: str
    unit: str
    decimals: int
    industries: str = ""


class Industry(Struct, frozen=True, forbid_unknown_fields=True):
    """One industry of an industry set."""

    set: str
    code: str
    name: str
    name_en: str = ""


class Permission(Struct, frozen=True, forbid_unknown_fields=True):
    """Sources that match `source` (with `*`) may write `indicator`; an empty indicator allows none."""

    source: str
    indicator: str


class Merger(Struct, frozen=True, forbid_unknown_fields=True):
    """From `month` (`YYYY-MM`) on, base entity `code` is part of base entity `into`."""

    code: str
    into: str
    month: str


class Catalogue(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """See the head of this file. `members`: group code -> codes of its base entities."""

    name: str
    version: int
    timezone: str
    base_kind: str
    years: tuple[int, int]
    limits: Limits
    entities: tuple[Entity, ...]
    members: dict[str, tuple[str, ...]]
    indicators: tuple[Indicator, ...]
    industries: tuple[Industry, ...] = ()
    sources: tuple[Permission, ...] = ()
    mergers: tuple[Merger, ...] = ()

    @classmethod
    def load(cls, folder: str | Path) -> Catalogue:
        """Read and check the folder of docs/formats.md section 1; CatalogueError names file, key and reason."""
        from index.catalogue_files import read_folder

        return read_folder(Path(folder))

    @classmethod
    def from_json(cls, data: bytes | str) -> Catalogue:
        """Decode and check what `to_json` made; CatalogueError when it is not one."""
        try:
            catalogue = _DECODER.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is a DecodeError
            raise CatalogueError("catalogue", "", str(error)) from error
        return catalogue.checked("catalogue")

    def to_json(self) -> bytes:
        """The JSON object of the wire and of Redis, without blanks, keys in field order.

        Equal catalogues give equal bytes.
        """
        return _ENCODER.encode(self)

    def checked(self, file: str) -> Catalogue:
        """This catalogue after all checks; CatalogueError names `file`."""
        from index.catalogue_checks import check

        check(self, file)
        return self

    def refuses(self, newer: Catalogue) -> str | None:
        """Why `newer` may not follow this catalogue, None if it may.

        Cells written before must keep their meaning: what an indicator known to both counts, in which unit, and in
        which local time its days and months lie. Whatever else changes, or comes and goes, is fine.
        """
        if newer.version <= self.version:
            return f"version {newer.version} is not above {self.version}"
        if newer.timezone != self.timezone:
            return f"the time zone changes from {self.timezone} to {newer.timezone}"
        known = {i.code: i for i in self.indicators}
        for indicator in newer.indicators:
            before = known.get(indicator.code)
            if before is not None and (before.kind, before.decimals, bool(before.industries)) != (
                indicator.kind, indicator.decimals, bool(indicator.industries),
            ):  # fmt: skip
                return f"{indicator.code} changes its kind, its decimals, or whether it has industries"
        return None

    @cached_property
    def digest(self) -> str:
        """sha256 of the canonical JSON, hexadecimal."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @cached_property
    def calendar(self) -> LocalCalendar:
        """The days of the supported years in the catalogue's time zone."""
        return LocalCalendar(self.timezone, *self.years)

    @cached_property
    def entity_of(self) -> dict[str, Entity]:
        """Code -> entity, base entities and groups."""
        return {e.code: e for e in self.entities}

    @cached_property
    def cities(self) -> list[str]:
        """Codes of the base entities, in code order."""
        return sorted(e.code for e in self.entities if e.kind == self.base_kind)

    @cached_property
    def city_index(self) -> dict[str, int]:
        """Code of a base entity -> its place in `cities`."""
        return {code: i for i, code in enumerate(self.cities)}

    @cached_property
    def indicator_index(self) -> dict[str, int]:
        """Code of an indicator -> its place in `indicators`."""
        return {indicator.code: i for i, indicator in enumerate(self.indicators)}

    @cached_property
    def industry_codes(self) -> list[list[str]]:
        """Per indicator: the industries it may carry, in file order; `["all"]` where it has none."""
        sets: dict[str, list[str]] = {}
        for industry in self.industries:
            sets.setdefault(industry.set, []).append(industry.code)
        return [sets.get(i.industries, []) if i.industries else [ALL] for i in self.indicators]

    @cached_property
    def industry_index(self) -> list[dict[str, int]]:
        """Per indicator: industry code -> its place in `industry_codes`."""
        return [{code: i for i, code in enumerate(codes)} for codes in self.industry_codes]

    @cached_property
    def kinds(self) -> list[str]:
        """Kinds of groups, in order of first appearance."""
        return list(dict.fromkeys(e.kind for e in self.entities if e.kind != self.base_kind))

    def groups(self, kind: str) -> list[str]:
        """Codes of the groups of a kind, in code order; empty for an unknown kind."""
        return sorted(e.code for e in self.entities if e.kind == kind and kind != self.base_kind)

    def members_of(self, group: str) -> NDArray[np.int32]:
        """int32[n]: city indices of a group's members, ascending; KeyError for an unknown group."""
        if self.entity_of[group].kind == self.base_kind:
            raise KeyError(group)
        return np.array(sorted(self.city_index[m] for m in self.members.get(group, ())), dtype=np.int32)

    def kind_of(self, code: str) -> str:
        """The kind of an entity; KeyError if unknown."""
        return self.entity_of[code].kind

    def name_of(self, code: str) -> str:
        """The name of an entity; KeyError if unknown."""
        return self.entity_of[code].name

    def may_write(self, source: str) -> frozenset[str] | None:
        """Codes of the indicators that a source may write.

        None: all. Costs one match per line of sources.csv: keep the answer.
        """
        lines = [p for p in self.sources if matches(p.source, source)]
        return frozenset(p.indicator for p in lines if p.indicator) if lines else None


_ENCODER = msgspec.json.Encoder(order="deterministic")
# Made here, once, by one thread: msgspec 0.22 lets a second thread see a type's decoder half built, and crashes.
_DECODER = msgspec.json.Decoder(Catalogue)


def matches(pattern: str, text: str) -> bool:
    """Whether `text` is `pattern`, in which each `*` stands for any characters, also none. Nothing else is special."""
    head, *rest = pattern.split("*")
    if not rest:
        return text == head
    if not text.startswith(head):
        return False
    at = len(head)
    for part in rest[:-1]:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(text) - at >= len(rest[-1]) and text.endswith(rest[-1])
