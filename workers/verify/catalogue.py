"""The catalogue as its records in the log say it, read with the plain json (docs/formats.md section 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from workers.verify.catalogue_rules import NoCatalogue, read_catalogue

KEY = b"catalogue"
_START = b'{"catalogue":'


@dataclass(frozen=True, slots=True)
class Indicator:
    """`scale` is 10^decimals as a double (exact); `industries` those that an event may name, `{"all"}` where it has
    none; `set` the name of the set, empty where it has none.
    """

    flow: bool
    scale: float
    industries: frozenset[str]
    set: str


@dataclass(frozen=True, slots=True)
class Merger:
    """From `month` (`YYYY-MM`) on a base entity is part of base entity `into`."""

    into: str
    month: str


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """What the checks and the sums need. `kinds`: entity -> kind; `members`: group -> base entities.

    `industries`: set -> codes, in order; `mergers`: code -> merger;
    `sources`: (pattern, indicator or "") per line of sources.csv. Limits as formats.md names them.
    """

    version: int
    timezone: str
    base_kind: str
    years: tuple[int, int]
    window: int
    jump: int
    cell: int
    future_s: int
    message_bytes: int
    event_bytes: int
    base: frozenset[str]
    kinds: dict[str, str]
    members: dict[str, tuple[str, ...]]
    indicators: dict[str, Indicator]
    industries: dict[str, tuple[str, ...]]
    mergers: dict[str, Merger]
    sources: tuple[tuple[tuple[str, ...], str], ...]

    def allows(self, source: str, indicator: str) -> bool:
        """Whether that source may write that indicator."""
        lines = [allowed for parts, allowed in self.sources if _matches(parts, source)]
        return not lines or indicator in lines

    def entities(self, kind: str) -> Iterator[str]:
        """The entities of a kind."""
        return (code for code, each in self.kinds.items() if each == kind)


def may_follow(now: Catalogue, newer: Catalogue) -> bool:
    """Whether `newer` comes into force: a higher version, and what both know keeps its meaning."""
    both = now.indicators.keys() & newer.indicators.keys()
    no_industries = frozenset({"all"})
    return (
        newer.version > now.version
        and newer.timezone == now.timezone
        and all(
            (now.indicators[code].flow, now.indicators[code].scale, now.indicators[code].industries == no_industries)
            == (
                newer.indicators[code].flow,
                newer.indicators[code].scale,
                newer.indicators[code].industries == no_industries,
            )
            for code in both
        )
    )


def record_catalogue(key: bytes | None, value: bytes | None) -> Catalogue | None:
    """The catalogue of a record of `indicator-events`; None when the record is none, and so a message like any
    other.
    """
    if key != KEY or value is None or not value.startswith(_START):
        return None
    return _parse(value)


@lru_cache(maxsize=8)  # the same bytes stand in every partition
def _parse(value: bytes) -> Catalogue | None:
    try:
        return parse_catalogue(read_catalogue(value))
    except NoCatalogue:
        return None


def parse_catalogue(data: dict[str, Any]) -> Catalogue:
    """From the decoded JSON object, which is known to be one."""
    limits = data["limits"]
    sets: dict[str, tuple[str, ...]] = {}
    for industry in data.get("industries", []):
        sets[industry["set"]] = (*sets.get(industry["set"], ()), industry["code"])
    first, last = data["years"]
    return Catalogue(
        version=data["version"],
        timezone=data["timezone"],
        base_kind=data["base_kind"],
        years=(first, last),
        window=limits["window"],
        jump=limits["jump"],
        cell=limits["cell"],
        future_s=limits["future_s"],
        message_bytes=limits["message_bytes"],
        event_bytes=limits["event_bytes"],
        base=frozenset(e["code"] for e in data["entities"] if e["kind"] == data["base_kind"]),
        kinds={e["code"]: e["kind"] for e in data["entities"]},
        members={group: tuple(members) for group, members in data["members"].items()},
        indicators={
            i["code"]: Indicator(
                flow={"flow": True, "stock": False}[i["kind"]],
                scale=float(10 ** i["decimals"]),
                industries=frozenset(sets.get(i["industries"], ())) if i["industries"] else frozenset({"all"}),
                set=i["industries"],
            )
            for i in data["indicators"]
        },
        industries=sets,
        mergers={each["code"]: Merger(each["into"], each["month"]) for each in data.get("mergers", [])},
        sources=tuple((tuple(line["source"].split("*")), line["indicator"]) for line in data.get("sources", [])),
    )


def _matches(parts: tuple[str, ...], text: str) -> bool:
    """Whether `text` is `parts` with any characters, also none, between each two (a `*` in sources.csv).

    All places where the parts so far may end are kept: no pattern takes longer than its length times the text's.
    """
    ends = {len(parts[0])} if text.startswith(parts[0]) else set[int]()
    for part in parts[1:]:
        first = min(ends, default=len(text) + 1)
        ends = {at + len(part) for at in range(first, len(text) + 1) if text.startswith(part, at)}
    return len(text) in ends
