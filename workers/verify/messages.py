"""One Kafka message to its elements: checks 1 and 2 of docs/formats.md section 2, with nothing but the standard json.

What json takes and RFC 8259 does not (NaN, Infinity) is refused here; what it refuses and RFC 8259 allows (an integer
of more digits than Python converts) is let in. Lone surrogate escapes are strings to both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

BLANK = " \t\n\r"
MAX_DEPTH = 100  # of objects and arrays within each other
# Stands for an integer of more digits than Python converts (4,300): beyond 2^63 and beyond the largest double as it is.
HUGE = 10**400


class Unreadable(Exception):
    """The whole message is rejected; `reason` is its code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def refuse_constant(text: str) -> Any:
    """For `json`: NaN and the infinities are no JSON."""
    raise json.JSONDecodeError("not in RFC 8259", text, 0)


def _any_integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return -HUGE if text[0] == "-" else HUGE


_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')
_QUICK = json.JSONDecoder(parse_constant=refuse_constant)
_PATIENT = json.JSONDecoder(parse_constant=refuse_constant, parse_int=_any_integer)
# `scan_once` decodes one value that begins at an index: what json's own `raw_decode` calls.
_scan: Callable[[str, int], tuple[Any, int]] = vars(_QUICK)["scan_once"]
_patient_scan: Callable[[str, int], tuple[Any, int]] = vars(_PATIENT)["scan_once"]


def elements(message: bytes | None, message_bytes: int, event_bytes: int) -> list[Any]:
    """The elements of a message in order, decoded; an element that is longer than `event_bytes` is TOO_LARGE instead.

    Raises Unreadable when the message is rejected whole.
    """
    if message is None:
        raise Unreadable("malformed")
    if len(message) > message_bytes:
        raise Unreadable("too-large")
    try:
        text = message.decode()
    except UnicodeDecodeError:
        raise Unreadable("malformed") from None
    value = _decode(text)
    if too_deep(text, value):
        raise Unreadable("malformed")
    if type(value) is dict:
        # Whether a message is one object is known only once it has been read: one that is not JSON is `malformed`.
        if len(message) > event_bytes:
            raise Unreadable("too-large")
        return [value]
    if type(value) is not list:
        raise Unreadable("malformed")
    if len(message) > event_bytes:  # only then can one of its elements be
        sizes = _element_sizes(text)
        return [TOO_LARGE if size > event_bytes else each for each, size in zip(value, sizes, strict=True)]
    return value


class _TooLarge:
    """Stands for an element that is longer than allowed."""


TOO_LARGE = _TooLarge()


def _decode(text: str) -> Any:
    try:
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    except (ValueError, StopIteration, RecursionError):
        pass
    # Blanks around it, an integer of 5,000 digits, or not JSON: once more, without haste.
    try:
        return _PATIENT.decode(text)
    except (ValueError, RecursionError):
        raise Unreadable("malformed") from None


def too_deep(text: str, value: Any) -> bool:
    """Whether valid JSON nests deeper than MAX_DEPTH. Read off the text: of a repeated key `value` holds the last
    only.
    """
    openings = text.count("{") + text.count("[")
    if openings <= MAX_DEPTH:
        return False
    if type(value) is list and openings < MAX_DEPTH + sum(type(each) in (dict, list) for each in value):
        return False  # the array's own and one for each element: too few are left
    depth = deepest = 0
    for mark in _STRING_OR_BRACKET.finditer(text):
        if mark[0] in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif mark[0] in "}]":
            depth -= 1
    return deepest > MAX_DEPTH


def _element_sizes(text: str) -> Iterator[int]:
    """Bytes of each element's text of an array that is known to be valid."""
    at = _skip_blanks(text, text.index("[") + 1)
    while text[at] != "]":
        _, end = _patient_scan(text, at)
        yield len(text[at:end].encode())
        at = _skip_blanks(text, end)
        if text[at] == ",":
            at = _skip_blanks(text, at + 1)


def _skip_blanks(text: str, at: int) -> int:
    while text[at] in BLANK:
        at += 1
    return at
