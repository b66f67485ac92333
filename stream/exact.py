"""Decoding one message exactly: slow, obvious, and right for everything that JSON allows and sources get wrong.

Made for the few: about 10 us an element. Uses the standard library's reader, whose every quirk is settled here: no NaN,
no Infinity, integers of any length, numbers beyond a double (infinite, so `overflow` later on), UTF-8 only.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from stream.reasons import Reason, Reject

# Deeper nesting than this is refused before a reader's own stack decides (no event nests at all).
MAX_DEPTH = 100
_BLANK = re.compile(r"[ \t\r\n]*")
_BAD_SOURCE = re.compile("[\x00-\x20\x7f\ud800-\udfff]")
_HUGE = 10**400  # stands for any integer beyond every limit


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(text: str) -> int:
    if len(text) <= 40:
        return int(text)
    return -_HUGE if text[0] == "-" else _HUGE


_decoder = json.JSONDecoder(parse_constant=_refuse, parse_int=_integer)


def _depth(text: str) -> int:
    deepest = depth = 0
    inside = escaped = False
    for char in text:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = inside
        elif char == '"':
            inside = not inside
        elif not inside and char in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif not inside and char in "}]":
            depth -= 1
    return deepest


def _elements(text: str) -> list[tuple[Any, str]]:
    """(value, its text) of the message's object, or of each element of its array. ValueError where it is not JSON."""

    def skip(place: int) -> int:
        found = _BLANK.match(text, place)
        return found.end() if found else place

    place = skip(0)
    if text[place : place + 1] != "[":
        value, end = _decoder.raw_decode(text, place)
        if skip(end) != len(text):
            raise ValueError("text behind the value")
        return [(value, text[place:end])]
    out: list[tuple[Any, str]] = []
    place = skip(place + 1)
    if text[place : place + 1] != "]":
        while True:
            value, end = _decoder.raw_decode(text, place)
            out.append((value, text[place:end]))
            place = skip(end)
            if text[place : place + 1] == "]":
                break
            if text[place : place + 1] != ",":
                raise ValueError("an array without its end")
            place = skip(place + 1)
    if skip(place + 1) != len(text):
        raise ValueError("text behind the array")
    return out


def _read(value: bytes) -> tuple[str, list[tuple[Any, str]]]:
    """A message's text and its elements, as `_elements`. Errors: ValueError, RecursionError: no JSON that is taken."""
    text = value.decode("utf-8")
    # Counting is quick; walking is not, and hardly any message has so many brackets.
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    return text, _elements(text)


def is_json(value: bytes) -> bool:
    """Whether `value` is JSON that no two readers disagree on: UTF-8 throughout, nested no deeper than MAX_DEPTH."""
    try:
        _read(value)
    except (ValueError, RecursionError):
        return False
    return True


def element_texts(value: bytes) -> list[bytes]:
    """The bytes of each element of a message that is JSON. Errors: ValueError where it is not."""
    return [part.encode("utf-8", "surrogatepass") for _, part in _elements(value.decode("utf-8"))]


def decode_exactly(
    value: bytes | None,
    message: int,
    message_bytes: int,
    event_bytes: int,
    event_type: type[Any],
    rejects: list[Reject],
) -> list[tuple[int, Any]]:
    """Well-formed events of one message as (element, event); appends the others to `rejects`.

    `event_type` is called with the fields by name. Never raises for what the message holds.
    """

    def reject_whole(reason: Reason, detail: str) -> list[tuple[int, Any]]:
        rejects.append(Reject(message, 0, reason, detail, value or b""))
        return []

    if value is None:
        return reject_whole(Reason.MALFORMED, "a tombstone holds no event")
    if len(value) > message_bytes:
        return reject_whole(Reason.TOO_LARGE, f"message of {len(value)} bytes, at most {message_bytes} are taken")
    try:
        text, elements = _read(value)
    except UnicodeDecodeError as error:
        return reject_whole(Reason.MALFORMED, f"not UTF-8 at byte {error.start}")
    except (ValueError, RecursionError) as error:
        return reject_whole(Reason.MALFORMED, f"not JSON: {error or type(error).__name__}"[:200])
    lone = text.lstrip(" \t\r\n")[:1] != "["
    if lone and not isinstance(elements[0][0], dict):
        return reject_whole(Reason.MALFORMED, "neither an object nor an array of objects")
    found: list[tuple[int, Any]] = []
    for place, (element, part) in enumerate(elements):
        raw = value if lone else part.encode("utf-8", "surrogatepass")
        if len(raw) > event_bytes:
            detail = f"event of {len(raw)} bytes, at most {event_bytes} are taken"
            rejects.append(Reject(message, place, Reason.TOO_LARGE, detail, raw))
            continue
        if not isinstance(element, dict):
            rejects.append(Reject(message, place, Reason.MALFORMED, "not an object", raw))
            continue
        problem = _problem(element)
        if problem is None:
            found.append((place, event_type(**_fields(element))))
        else:
            rejects.append(Reject(message, place, *problem, raw))
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _problem(element: dict[str, Any]) -> tuple[Reason, str] | None:
    """The first field that is not as docs/formats.md section 2, step 3 asks, with its reason."""
    source = element.get("source")
    if not isinstance(source, str) or not 1 <= len(source) <= 64 or _BAD_SOURCE.search(source):
        return Reason.MALFORMED, "source: 1 to 64 characters, none of them blank or a control"
    seq = element.get("seq")
    if not isinstance(seq, int) or isinstance(seq, bool):
        return Reason.MALFORMED, "seq: an integer is wanted"
    if not 0 <= seq <= 2**63 - 1:
        return Reason.BAD_SEQUENCE, "seq: not within 0 to 2^63 - 1"
    for name in ("city", "indicator"):
        if not isinstance(element.get(name), str):
            return Reason.MALFORMED, f"{name}: a string is wanted"
    if not isinstance(element.get("industry"), str | None):
        return Reason.MALFORMED, "industry: a string is wanted"
    if not isinstance(element.get("op"), str):
        return Reason.MALFORMED, "op: a string is wanted"
    if "value" not in element:
        return Reason.MALFORMED, "value: missing"
    if not _is_number(element["value"]):
        return Reason.BAD_VALUE, "value: a number is wanted"
    if not isinstance(element.get("at"), str):
        return Reason.MALFORMED, "at: a string is wanted"
    if not isinstance(element.get("period"), str | None):
        return Reason.MALFORMED, "period: a string is wanted"
    return None


def _fields(element: dict[str, Any]) -> dict[str, Any]:
    value = element["value"]
    try:
        number = float(value)
    except OverflowError:
        number = float("inf") if value > 0 else float("-inf")
    names = ("source", "seq", "city", "indicator", "op", "at", "industry", "period")
    return {"value": number, **{name: element.get(name) for name in names}}
