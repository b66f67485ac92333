"""Whether the record of a catalogue holds one: its form and its rules, decided anew from docs/formats.md section 1.

Of a repeated key the last counts, and every one must be of the right form, so objects are read as lists of pairs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from workers.verify.errors import VerifyError
from workers.verify.messages import Unreadable, refuse_constant, too_deep
from workers.verify.periods import parse_period

SCHEMA = 1  # of the records that are read here
Read = Callable[[Any], Any]


class NoCatalogue(ValueError):
    """The record is a message like any other."""


class _Pairs(list[tuple[str, Any]]):
    """An object as it is written."""


_CODE = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_DECODER = json.JSONDecoder(parse_constant=refuse_constant, object_pairs_hook=_Pairs)
_MANY = {"window": (1, 2**16), "cell": (1, 10**15), "future_s": (0, 10 * 366 * 86_400)}
_MANY |= {"message_bytes": (1, 2**30), "event_bytes": (1, 2**30)}


def read_catalogue(value: bytes) -> dict[str, Any]:
    """The object inside the record, complete, and right in all that the page asks. Raises NoCatalogue; VerifyError
    where a newer version wrote it.
    """
    try:
        text = value.decode()
        outer = _DECODER.decode(text)
        if too_deep(text, None):
            raise NoCatalogue("nested too deep")
    except (ValueError, RecursionError, Unreadable) as error:
        raise NoCatalogue(str(error)) from None
    versions = [each for key, each in outer if key == "schema"] if type(outer) is _Pairs else []
    if versions and type(versions[-1]) is int and versions[-1] > SCHEMA:
        raise VerifyError(f"a catalogue's record has schema {versions[-1]}, this verify reads {SCHEMA}")
    found: dict[str, Any] = _object({"catalogue": lambda each: each}, {"schema": (_whole, SCHEMA)})(outer)
    _must(found["schema"] == SCHEMA, "schema")
    data: dict[str, Any] = _CATALOGUE(found["catalogue"])
    _check(data)
    return data


# --- form -------------------------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if type(value) is not str or any("\ud800" <= c <= "\udfff" for c in value):
        raise NoCatalogue(f"{value!r:.50} is no text")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise NoCatalogue(f"{value!r:.50} is no integer")
    return value


def _list(of: Read) -> Read:
    def read(value: Any) -> list[Any]:
        if type(value) is not list:
            raise NoCatalogue(f"{value!r:.50} is no array")
        return [of(each) for each in value]

    return read


def _map(of: Read) -> Read:
    def read(value: Any) -> dict[str, Any]:
        if type(value) is not _Pairs:
            raise NoCatalogue(f"{value!r:.50} is no object")
        return {_text(key): of(each) for key, each in value}

    return read


def _object(fields: dict[str, Read], optional: dict[str, tuple[Read, Any]] | None = None) -> Read:
    """Reads an object with all of `fields`, and of `optional` (how to read it, what it is when absent) any."""
    others = optional or {}
    readers = fields | {name: read for name, (read, _) in others.items()}

    def read(value: Any) -> dict[str, Any]:
        if type(value) is not _Pairs:
            raise NoCatalogue(f"{value!r:.50} is no object")
        found = {name: default for name, (_, default) in others.items()}
        for key, each in value:
            if key not in readers:
                raise NoCatalogue(f"unknown key {key!r:.50}")
            found[key] = readers[key](each)
        if fields.keys() - found.keys():
            raise NoCatalogue(f"without {sorted(fields.keys() - found.keys())}")
        return found

    return read


_ENTITY = _object({"code": _text, "kind": _text, "name": _text}, {"name_en": (_text, "")})
_INDICATOR = _object(
    dict.fromkeys(("code", "name", "name_en", "kind", "unit"), _text) | {"decimals": _whole},
    {"industries": (_text, "")},
)
_INDUSTRY = _object({"set": _text, "code": _text, "name": _text}, {"name_en": (_text, "")})
_PERMISSION = _object({"source": _text, "indicator": _text})
_MERGER = _object({"code": _text, "into": _text, "month": _text})
_LIMITS = _object(
    {},
    {
        "window": (_whole, 4096),
        "jump": (_whole, 2**48),
        "cell": (_whole, 10**15),
        "future_s": (_whole, 86_400),
        "message_bytes": (_whole, 16 * 2**20),
        "event_bytes": (_whole, 64 * 2**10),
    },
)
_CATALOGUE = _object(
    {
        **{"name": _text, "version": _whole, "timezone": _text, "base_kind": _text, "years": _list(_whole)},
        **{"limits": _LIMITS, "entities": _list(_ENTITY), "members": _map(_list(_text))},
        "indicators": _list(_INDICATOR),
    },
    {"industries": (_list(_INDUSTRY), []), "sources": (_list(_PERMISSION), []), "mergers": (_list(_MERGER), [])},
)


# --- rules ------------------------------------------------------------------------------------------------------------


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise NoCatalogue(what)


def _code(text: str) -> bool:
    return _CODE.fullmatch(text) is not None


def _distinct(keys: list[Any]) -> bool:
    return len(set(keys)) == len(keys)


def _check(data: dict[str, Any]) -> None:
    _must(data["name"] != "" and 1 <= data["version"] < 2**53 and _code(data["base_kind"]), "head")
    _must(len(data["years"]) == 2 and 1970 <= data["years"][0] <= data["years"][1] <= 2999, "years")
    try:
        ZoneInfo(data["timezone"])
    except (LookupError, ValueError, OSError):
        raise NoCatalogue("timezone") from None
    limits = data["limits"]
    _must(all(low <= limits[name] <= high for name, (low, high) in _MANY.items()), "limits")
    _must(limits["window"] <= limits["jump"] <= 2**62, "jump")

    entities, kind = data["entities"], data["base_kind"]
    _must(all(_code(e["code"]) and _code(e["kind"]) for e in entities), "entities")
    _must(_distinct([e["code"] for e in entities]), "an entity twice")
    groups = {e["code"] for e in entities if e["kind"] != kind}
    _must(all(e["code"].startswith(e["kind"] + ":") for e in entities if e["kind"] != kind), "a group's code")
    base = {e["code"] for e in entities} - groups
    _must(0 < len(base) < 2**20, "base entities")
    for group, members in data["members"].items():
        _must(group in groups and _distinct(members) and set(members) <= base, "members")

    sets: dict[str, list[str]] = {}
    for each in data["industries"]:
        _must(_code(each["set"]) and _code(each["code"]) and each["code"] != "all", "industries")
        sets.setdefault(each["set"], []).append(each["code"])
    _must(all(_distinct(codes) and len(codes) < 2**10 for codes in sets.values()), "an industry twice, or too many")
    indicators = {i["code"] for i in data["indicators"]}
    _must(0 < len(indicators) == len(data["indicators"]) < 2**12, "indicators")
    for each in data["indicators"]:
        _must(_code(each["code"]) and each["kind"] in ("flow", "stock") and 0 <= each["decimals"] <= 9, "an indicator")
        _must(each["industries"] == "" or each["industries"] in sets, "an indicator's industries")
    for line in data["sources"]:
        _must(line["source"] != "" and (line["indicator"] == "" or line["indicator"] in indicators), "sources")
    _check_mergers(data["mergers"], base)


def _check_mergers(mergers: list[dict[str, str]], base: set[str]) -> None:
    into = {each["code"]: each["into"] for each in mergers}
    _must(len(into) == len(mergers) and {*into, *into.values()} <= base, "mergers")
    for each in mergers:
        month = parse_period(each["month"])
        _must(month is not None and month.grain == "month" and month.year > 0, "a merger's month")
    for code in into:
        at = into[code]
        for _ in into:  # as many steps as there are lines: who is not at an end by then never is
            _must(at != code, "a cycle of mergers")
            at = into.get(at, at)
        _must(at not in into, "a cycle of mergers")
