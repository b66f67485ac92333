"""Decoding: messages as bytes to columns of events, or to rejects; one bad element never costs its neighbours.

The fast way decodes plain messages straight into structs. Plain means: nothing in it on which two JSON readers could
disagree (ASCII, no escapes, nothing nested). Whatever is not plain, or is refused, goes the exact way (`exact.py`),
element by element. docs/formats.md section 2, steps 1 to 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream.exact import decode_exactly, element_texts
from stream.reasons import Reject

MAX_SEQ = 2**63 - 1


class Event(msgspec.Struct, gc=False):
    """One indicator event as it stands on the wire (DESIGN section 3, Events)."""

    source: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    seq: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]
    city: str
    indicator: str
    op: str
    value: float
    at: str
    industry: str | None = None
    period: str | None = None


@dataclass(slots=True)
class Columns:
    """Well-formed events of a batch of messages, as columns of length n, and the elements that are none.

    `message` int32[n]: place of the message in the batch; `element` int32[n]: place in the message. Order is that of
    the log. `rejects` are in no particular order.
    """

    message: NDArray[np.int32]
    element: NDArray[np.int32]
    source: list[str]
    seq: NDArray[np.int64]
    city: list[str]
    indicator: list[str]
    industry: list[str | None]
    op: list[str]
    value: NDArray[np.float64]
    at: list[str]
    period: list[str | None]
    rejects: list[Reject] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.source)

    def fields(self, row: int) -> dict[str, Any]:
        """One event's fields by their names, for whoever tells a person of it (`stream.reasons.detail_of`)."""
        return {
            "source": self.source[row],
            "seq": int(self.seq[row]),
            "city": self.city[row],
            "indicator": self.indicator[row],
            "industry": self.industry[row],
            "op": self.op[row],
            "value": float(self.value[row]),
            "at": self.at[row],
            "period": self.period[row],
        }


_one = msgspec.json.Decoder(Event).decode
_many = msgspec.json.Decoder(list[Event]).decode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_BLANK = b" \t\r\n"


def decode_plain(values: Sequence[bytes | None], event_bytes: int) -> Columns | None:
    """Columns where every message is one plain, well-formed event: the common batch. None where one is not."""
    try:
        if max(map(len, values)) > event_bytes:  # type: ignore[arg-type]
            return None
        joined = b"\n".join(values)  # type: ignore[arg-type]
        # One brace a message and no bracket: all are single objects with nothing inside.
        if joined.count(b"{") != len(values) or b"[" in joined or b"\\" in joined or not joined.isascii():
            return None
        return columns(list(map(_one, values)), np.arange(len(values), dtype=np.int32), None)  # type: ignore[arg-type]
    except (TypeError, ValueError, msgspec.MsgspecError):
        return None  # a tombstone, an empty batch, a message that is refused


def decode(values: Sequence[bytes | None], message_bytes: int, event_bytes: int) -> Columns:
    """Columns of the events in `values` (one Kafka message each); never raises for what a message holds.

    `message_bytes`, `event_bytes`: the catalogue's limits.
    """
    plain = decode_plain(values, event_bytes) if event_bytes <= message_bytes else None
    if plain is not None:
        return plain
    events: list[Event] = []
    message: list[int] = []
    element: list[int] = []
    rejects: list[Reject] = []
    for i, value in enumerate(values):
        before = len(events)
        plain_events = None if value is None else _decode_plain(value, message_bytes, event_bytes)
        if plain_events is None:
            for place, event in decode_exactly(value, i, message_bytes, event_bytes, Event, rejects):
                events.append(event)
                element.append(place)
        else:
            events += plain_events
            element += range(len(plain_events))
        message += (i,) * (len(events) - before)
    return columns(events, np.array(message, dtype=np.int32), np.array(element, dtype=np.int32), rejects)


def _decode_plain(value: bytes, message_bytes: int, event_bytes: int) -> list[Event] | None:
    """Events of one plain message whose elements are all well-formed; None where that is not sure."""
    if len(value) > message_bytes or not value.isascii() or b"\\" in value:
        return None
    try:
        if value.lstrip(_BLANK)[:1] == b"{":
            if len(value) > event_bytes or value.count(b"{") != 1 or b"[" in value:
                return None
            return [_one(value)]
        if len(value) > event_bytes and any(len(memoryview(raw)) > event_bytes for raw in _raws(value)):
            return None
        events = _many(value)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None
    return events if value.count(b"{") == len(events) and value.count(b"[") == 1 else None


def columns(
    events: list[Event],
    message: NDArray[np.int32],
    element: NDArray[np.int32] | None,
    rejects: list[Reject] | None = None,
) -> Columns:
    """Turn structs into columns; sources with characters that no identity may have become rejects later on."""
    return Columns(
        message=message,
        element=np.zeros(len(events), dtype=np.int32) if element is None else element,
        source=[e.source for e in events],
        seq=np.array([e.seq for e in events], dtype=np.int64),
        city=[e.city for e in events],
        indicator=[e.indicator for e in events],
        industry=[e.industry for e in events],
        op=[e.op for e in events],
        value=np.array([e.value for e in events], dtype=np.float64),
        at=[e.at for e in events],
        period=[e.period for e in events],
        rejects=rejects or [],
    )


def raw_elements(value: bytes) -> list[bytes]:
    """The bytes of each element of a well-formed message (one for an object), for its dead letter."""
    if value.lstrip(_BLANK)[:1] == b"{":
        return [value]
    try:
        return [bytes(raw) for raw in _raws(value)]
    except msgspec.MsgspecError:  # what the exact way reads all the same, such as half of a surrogate pair
        return element_texts(value)


__all__ = ["Columns", "Event", "columns", "decode", "decode_plain", "raw_elements"]
