"""What a catalogue must fulfil before anything is counted by it.

One function per table; each says where and what to do.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from index.errors import CatalogueError
from index.localtime import LocalCalendar
from index.periods import Grain, Period

if TYPE_CHECKING:
    from index.catalogue import Catalogue

CODE = re.compile(r"[A-Za-z0-9._:-]{1,64}")
CODE_RULE = "has 1 to 64 characters of A-Z a-z 0-9 . _ : -"
_MAX_WINDOW = 2**16  # a window is one number of so many bits in Redis, rewritten by each flush
_MAX_CELL = 10**15
# What the packed key of a cell holds (state/packing.py).
_MAX_CITIES, _MAX_INDICATORS, _MAX_INDUSTRIES = 2**20, 2**12, 2**10


def check(catalogue: Catalogue, file: str) -> None:
    """Raise CatalogueError at the first fault. `file` names the source in messages."""
    _check_head(catalogue, file)
    _check_limits(catalogue, file)
    _check_entities(catalogue, file)
    _check_members(catalogue, file)
    _check_industries(catalogue, file)
    _check_indicators(catalogue, file)
    _check_sources(catalogue, file)
    _check_mergers(catalogue, file)


def _check_head(catalogue: Catalogue, file: str) -> None:
    if not catalogue.name:
        raise CatalogueError(file, "name", "is empty")
    if not 1 <= catalogue.version < 2**53:
        raise CatalogueError(file, "version", f"is {catalogue.version}; it starts at 1 and rises with each change")
    if not CODE.fullmatch(catalogue.base_kind):
        raise CatalogueError(file, "base_kind", f"{catalogue.base_kind!r}: a kind {CODE_RULE}")
    first, last = catalogue.years
    if not 1970 <= first <= last <= 2999:
        raise CatalogueError(
            file, "years", f"[{first}, {last}]: first and last lie in 1970..2999, first not after last"
        )
    try:
        LocalCalendar(catalogue.timezone, first, first)
    except ValueError as error:
        raise CatalogueError(file, "timezone", str(error)) from error


def _check_limits(catalogue: Catalogue, file: str) -> None:
    limits = catalogue.limits
    bounds = {
        "window": (limits.window, 1, _MAX_WINDOW),
        "jump": (limits.jump, limits.window, 2**62),
        "cell": (limits.cell, 1, _MAX_CELL),
        "future_s": (limits.future_s, 0, 10 * 366 * 86_400),
        "message_bytes": (limits.message_bytes, 1, 2**30),
        "event_bytes": (limits.event_bytes, 1, 2**30),
    }
    for key, (value, low, high) in bounds.items():
        if not low <= value <= high:
            raise CatalogueError(file, f"limits.{key}", f"is {value}; it lies in {low}..{high}")


def _check_entities(catalogue: Catalogue, file: str) -> None:
    seen: set[str] = set()
    for entity in catalogue.entities:
        key = f"entity {entity.code}"
        if not CODE.fullmatch(entity.code):
            raise CatalogueError(file, f"entity {entity.code!r}", f"a code {CODE_RULE}")
        if not CODE.fullmatch(entity.kind):
            raise CatalogueError(file, key, f"kind {entity.kind!r}: a kind {CODE_RULE}")
        if entity.code in seen:
            raise CatalogueError(file, key, "stands twice; remove one")
        if entity.kind != catalogue.base_kind and not entity.code.startswith(entity.kind + ":"):
            raise CatalogueError(
                file, key, f"is a group of kind {entity.kind}, so its code must begin with '{entity.kind}:'"
            )
        seen.add(entity.code)
    if not any(e.kind == catalogue.base_kind for e in catalogue.entities):
        raise CatalogueError(
            file, "entities", f"none is of the base kind {catalogue.base_kind!r}; at least one must be"
        )
    if len(catalogue.cities) >= _MAX_CITIES:
        raise CatalogueError(file, "entities", f"over {_MAX_CITIES - 1} are of the base kind; that many fit")


def _check_members(catalogue: Catalogue, file: str) -> None:
    for group, members in catalogue.members.items():
        entity = catalogue.entity_of.get(group)
        if entity is None or entity.kind == catalogue.base_kind:
            raise CatalogueError(
                file, f"members of {group}", "is no group of the entities; add it there or remove its members"
            )
        if len(set(members)) != len(members):
            twice = next(m for m in members if members.count(m) > 1)
            raise CatalogueError(file, f"members of {group}", f"{twice} stands twice; remove one")
        for member in members:
            if member not in catalogue.city_index:
                raise CatalogueError(
                    file, f"members of {group}", f"{member} is no {catalogue.base_kind} of the entities"
                )


def _check_industries(catalogue: Catalogue, file: str) -> None:
    seen: set[tuple[str, str]] = set()
    for industry in catalogue.industries:
        key = f"industry {industry.set}/{industry.code}"
        if not CODE.fullmatch(industry.set) or not CODE.fullmatch(industry.code):
            raise CatalogueError(file, key, f"a set and a code {CODE_RULE}")
        if industry.code == "all":
            raise CatalogueError(file, key, "'all' means the sum over industries; choose another code")
        if (industry.set, industry.code) in seen:
            raise CatalogueError(file, key, "stands twice; remove one")
        seen.add((industry.set, industry.code))
    for name, number in Counter(name for name, _ in seen).items():
        if number >= _MAX_INDUSTRIES:
            raise CatalogueError(file, f"industry set {name}", f"has {number} industries; {_MAX_INDUSTRIES - 1} fit")


def _check_indicators(catalogue: Catalogue, file: str) -> None:
    if not catalogue.indicators:
        raise CatalogueError(file, "indicators", "there is none; at least one is needed")
    if len(catalogue.indicators) >= _MAX_INDICATORS:
        raise CatalogueError(file, "indicators", f"there are {len(catalogue.indicators)}; {_MAX_INDICATORS - 1} fit")
    sets = {i.set for i in catalogue.industries}
    seen: set[str] = set()
    for indicator in catalogue.indicators:
        key = f"indicator {indicator.code}"
        if not CODE.fullmatch(indicator.code):
            raise CatalogueError(file, f"indicator {indicator.code!r}", f"a code {CODE_RULE}")
        if indicator.code in seen:
            raise CatalogueError(file, key, "stands twice; remove one")
        if indicator.kind not in ("flow", "stock"):
            raise CatalogueError(file, key, f"kind {indicator.kind!r} is neither 'flow' nor 'stock'")
        if not 0 <= indicator.decimals <= 9:
            raise CatalogueError(file, key, f"decimals {indicator.decimals}: must lie in 0..9")
        if indicator.industries and indicator.industries not in sets:
            raise CatalogueError(
                file, key, f"industry set {indicator.industries!r} has no industry; add it or leave empty"
            )
        seen.add(indicator.code)


def _check_sources(catalogue: Catalogue, file: str) -> None:
    for line in catalogue.sources:
        if not line.source:
            raise CatalogueError(file, "sources", "an empty pattern matches no source; write * for every source")
        if line.indicator and line.indicator not in catalogue.indicator_index:
            raise CatalogueError(file, f"source {line.source}", f"{line.indicator!r} is no indicator of the catalogue")


def _check_mergers(catalogue: Catalogue, file: str) -> None:
    into: dict[str, str] = {}
    for line in catalogue.mergers:
        key = f"merger of {line.code}"
        if line.code in into:
            raise CatalogueError(file, key, "stands twice; a code is merged once, so keep one line")
        for code in (line.code, line.into):
            if code not in catalogue.city_index:
                raise CatalogueError(file, key, f"{code!r} is no {catalogue.base_kind} of the entities; add it there")
        try:
            month = Period.parse(line.month).grain is Grain.MONTH
        except ValueError:
            month = False
        if not month:
            raise CatalogueError(file, key, f"{line.month!r} is no month; write it as 2019-01")
        into[line.code] = line.into
    for code in into:
        path = [code]
        while path[-1] in into:
            path.append(into[path[-1]])
            if path[-1] == code:
                raise CatalogueError(
                    file, f"merger of {code}", f"{' > '.join(path)} is a cycle; one of them must remain itself"
                )
            if len(path) > len(into):
                break  # runs into a cycle that is found from one of its own codes
