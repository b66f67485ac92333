"""Why an event is rejected: the codes, in the order in which the checks are made (docs/formats.md section 2)."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from index.catalogue import Catalogue


class Reason(IntEnum):
    """Reject reasons. The number orders the checks: of several that fail, the least is named."""

    TOO_LARGE = 1
    MALFORMED = 2
    UNKNOWN_CITY = 4
    UNKNOWN_INDICATOR = 5
    UNKNOWN_INDUSTRY = 6
    NOT_ALLOWED = 7
    BAD_OP = 8
    OVERFLOW = 9
    TOO_PRECISE = 10
    BAD_PERIOD = 12
    FROM_THE_FUTURE = 13
    BAD_SEQUENCE = 14
    STALE_SEQUENCE = 15
    BAD_VALUE = 20  # wherever it comes: only decoding finds it

    @property
    def code(self) -> str:
        """The name on the wire: `unknown-city`."""
        return self.name.lower().replace("_", "-")


# An unreadable `at` is `malformed`, but found after the checks of the value.
MALFORMED_TIME = 11
NO_REASON = 99


class Reject(NamedTuple):
    """One rejected element: the message's place in the batch, the element's in the message, why, and its bytes."""

    message: int
    element: int
    reason: Reason
    detail: str
    raw: bytes


def detail_of(
    reason: Reason,
    *,
    source: str,
    seq: int,
    city: str,
    indicator: str,
    industry: str | None,
    op: str,
    value: float,
    at: str,
    period: str | None,
    catalogue: Catalogue,
) -> str:
    """What was wrong, for the person who mends it: the field, its value, and what would have been taken."""
    limits, version = catalogue.limits, f"catalogue version {catalogue.version}"
    text = {
        Reason.MALFORMED: f"source {source!r} or at {at!r}: not an RFC 3339 time with offset, or a source with blanks",
        Reason.UNKNOWN_CITY: f"city {city!r} is not in {version}",
        Reason.UNKNOWN_INDICATOR: f"indicator {indicator!r} is not in {version}",
        Reason.UNKNOWN_INDUSTRY: f"industry {industry!r} is none of {indicator}'s in {version}",
        Reason.NOT_ALLOWED: f"source {source!r} may not write {indicator} ({version})",
        Reason.BAD_OP: f"op {op!r}, value {value!r} does not fit {indicator}: add for a flow, set for a stock; drop, "
        "with the value 0, for both",
        Reason.OVERFLOW: f"value {value!r}, or the cell with it, reaches {limits.cell} units of {indicator}",
        Reason.TOO_PRECISE: f"value {value!r} has more decimals than {indicator} takes",
        Reason.BAD_PERIOD: f"period {period!r} or at {at!r}: not within {catalogue.years[0]}-{catalogue.years[1]}",
        Reason.FROM_THE_FUTURE: f"at {at!r} is over {limits.future_s} s later than the record",
        Reason.BAD_SEQUENCE: f"seq {seq} of {source!r} jumps by over {limits.jump}",
        Reason.STALE_SEQUENCE: f"seq {seq} of {source!r} is {limits.window} or more below its highest",
    }
    return text.get(reason, reason.code)[:500]
