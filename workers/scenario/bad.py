"""Events that must be rejected: every reason of docs/formats.md section 2, most of them in several forms.

Each form changes one ordinary event so that exactly one check fails: all checks before the one it is for still pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workers.scenario.wire import Fields

WINDOW = 4096  # the catalogue's limits: window, jump, event_bytes
JUMP = 1 << 48
EVENT_BYTES = 65_536


@dataclass(frozen=True)
class Seqs:
    """Sequence numbers of the event's source: the one it would have, and the last sent for its city (-1: none yet)."""

    next: int
    last_of_city: int


@dataclass(frozen=True)
class Form:
    """One way to be wrong. `alone`: no element of an array can be so, the message is rejected whole."""

    reason: str
    make: Callable[[Fields, Seqs], str | bytes]
    alone: bool = False
    # The source must have sent this much for the city, or a window that would refuse the event does not exist yet.
    needs_seq: int = -1


def _set(**changes: str | None) -> Callable[[Fields, Seqs], str]:
    return lambda fields, _seqs: fields._replace(**changes).text()


def _seq(value: Callable[[Seqs], int]) -> Callable[[Fields, Seqs], str]:
    return lambda fields, seqs: fields._replace(seq=str(value(seqs))).text()


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Fields, Seqs], bytes]:
    return lambda fields, _seqs: change(fields.text().encode())


def _wrong_industry(fields: Fields, _seqs: Seqs) -> str:
    return fields._replace(industry='"mining"' if fields.industry else '"finance"').text()


def _missing_industry(fields: Fields, _seqs: Seqs) -> str:
    return fields._replace(industry="null" if fields.industry else '"retail"').text()


def _foreign_indicator(fields: Fields, _seqs: Seqs) -> str:
    # media-* may write dti.entertainment only, and dti.procurement has no industries: nothing else is wrong
    return fields._replace(source='"media-one"', indicator='"dti.procurement"', industry=None).text()


def _padded(fields: Fields, _seqs: Seqs) -> str:
    return f'{fields.text()[:-1]},"note":"{"x" * EVENT_BYTES}"}}'


FORMS = [
    Form("malformed", _bytes(lambda text: text.replace(b'"add"', b'"\xff\xfe"')), alone=True),  # not UTF-8
    Form("unknown-city", _set(city='"999999"')),
    Form("too-precise", _set(value="1250.755")),
    Form("from-the-future", _set(at='"2099-12-31T08:00:00+08:00"')),
    Form("malformed", _bytes(lambda text: text[: len(text) // 2]), alone=True),
    Form("unknown-indicator", _set(indicator='"dti.quantum"')),
    Form("overflow", _set(value="1e400")),
    Form("stale-sequence", _seq(lambda seqs: seqs.last_of_city - WINDOW - 1), needs_seq=WINDOW + 1),
    Form("malformed", _set(at='"2022-02-01T08:00:12"')),  # no offset
    Form("unknown-industry", _wrong_industry),
    Form("bad-op", _set(op='"set"')),
    Form("bad-sequence", _seq(lambda seqs: seqs.next + JUMP + 10_000_000), needs_seq=0),
    Form("malformed", _bytes(lambda text: b'"a text"'), alone=True),
    Form("bad-value", _set(value='"12.50"')),
    Form("bad-period", _set(period='"2021Q5"')),
    Form("not-allowed", _set(source='"sandbox-1"')),
    Form("malformed", _set(city=None)),
    Form("too-large", _padded),
    Form("malformed", _set(value="NaN"), alone=True),
    Form("unknown-city", _set(city='"province:110000"')),  # an entity, but not one that sends events
    Form("too-precise", _set(value="0.001")),
    Form("bad-sequence", _set(seq="-1")),
    Form("malformed", _set(at='"2022-02-30T08:00:12+08:00"')),
    Form("unknown-industry", _missing_industry),
    Form("bad-op", _set(op='"increment"')),
    Form("stale-sequence", _seq(lambda seqs: seqs.last_of_city - 3 * WINDOW), needs_seq=3 * WINDOW),
    Form("malformed", _bytes(lambda text: text + b" and more"), alone=True),
    Form("overflow", _set(value="-10000000000000")),  # 10^15 hundredths
    Form("bad-value", _set(value="true")),
    Form("bad-period", _set(at='"1989-06-01T08:00:00+08:00"')),
    Form("malformed", _set(seq="17.5")),
    Form("not-allowed", _foreign_indicator),
    Form("malformed", _set(source='""')),
    Form("bad-value", _set(value="null")),
    Form("malformed", _bytes(lambda text: b""), alone=True),
    Form("bad-period", _set(at='"2101-01-01T08:00:00+08:00"')),
    Form("malformed", _set(period="20221")),
    Form("bad-sequence", _set(seq="9223372036854775808")),  # 2^63
    Form("malformed", _set(value=None)),
    Form("overflow", _set(value="1e16")),
]
