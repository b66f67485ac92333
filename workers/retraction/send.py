"""Reading, planning and committing as one turn: of two retractions at the same time the later one decides.

The compensating events are one Kafka transaction over all partitions, so a retraction is in the log whole or not at
all. What the source sends after the command began is not looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from stream.publisher import Record
from stream.tail import high_watermarks
from stream.topics import EVENTS
from stream.turn import Turn
from workers.retraction.ledger import Ledger
from workers.retraction.plan import Plan, make_plan
from workers.retraction.selection import Selection, chain
from workers.settings import Settings
from workers.verify.accept import Judge
from workers.verify.batch import CHUNK_EVENTS
from workers.verify.log import Log
from workers.verify.replay import PROGRESS_S, check_whole, first_catalogues
from workers.verify.times import Calendar, YearZero

# A transaction of a million events is written in some ten seconds; the broker ends one whose writer has died.
TRANSACTION_S = 60.0
_US = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Asked:
    """A selection as it is written: `begin` and `end` are RFC 3339 times or dates (that day's first instant)."""

    source: str
    indicator: str | None
    begin: str | None
    end: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """What was read, up to `ends` (partition -> next offset), and the plan for it. `known`: the source was met."""

    selection: Selection
    ends: dict[int, int]
    plan: Plan
    known: bool


def begin(settings: Settings) -> Turn:
    """Take the turn of all retractions: from here on no earlier one can commit. Errors: as `Turn`."""
    return Turn(settings.kafka, "retract", settings.kafka_options, timeout_ms=int(TRANSACTION_S * 1000))


def read_and_plan(
    settings: Settings,
    asked: Asked,
    say: Callable[[str], None],
    *,
    wall_s: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """Read the log to where it ends now, and plan. Blocking; some 10 us of processor an event of any source, and 60 a
    compensating event.

    Errors: ValueError (a time that is none, an indicator that is not known), VerifyError (no answer; the log does not
    reach back to its beginning, so what counts cannot be decided), UnreachableError.
    """
    log = Log(settings.kafka, settings.kafka_options)
    partitions = log.partitions(EVENTS)
    # The high watermark, past whatever is not committed yet: an earlier retraction must not be hidden by somebody's
    # open transaction. The reader waits until that has ended.
    where = [(EVENTS, p) for p in partitions]
    ends = {p: end for (_, p), end in high_watermarks(settings.kafka, where, settings.kafka_options).items()}
    check_whole({p: low for p, (low, _) in log.bounds(EVENTS, partitions).items()}, {})
    first = first_catalogues(log, ends)
    selection = _selection(asked, {checks.catalogue.timezone for checks in first.values()})
    ledger = Ledger(selection)
    judges = {p: Judge(p, first.get(p), ledger.accepted, ()) for p in partitions}
    told = clock()
    for read, record in enumerate(log.read(EVENTS, ends)):
        judges[record.partition].record(record.offset, record.timestamp_ms, record.key, record.value)
        if len(ledger.accepted.rows) >= CHUNK_EVENTS * 8:
            ledger.take()
        if read % 10_000 == 0 and clock() - told >= PROGRESS_S:
            told = clock()
            say(f"read {read:,} of about {sum(ends.values()):,} messages")
    known = {code for judge in judges.values() for each in judge.catalogues for code in each.indicators}
    if asked.indicator is not None and asked.indicator not in known:
        raise ValueError(f"--indicator {asked.indicator}: no catalogue in the log knows it; `tidewatch catalogue show`")
    plan = make_plan(ledger, judges, int(wall_s() * 1000))
    return Found(selection, ends, plan, any(name in ledger.accepted.sources for name in chain(asked.source)))


def commit(turn: Turn, plan: Plan) -> None:
    """Write the plan's events, all of them or none. Errors: as `Turn.commit_spread`."""
    records = ((partition, Record(EVENTS, key, value)) for partition, key, value in plan.messages)
    turn.commit_spread(records, TRANSACTION_S)


def _selection(asked: Asked, zones: set[str]) -> Selection:
    begin_us, end_us = (
        None if text is None else _instant(f"--{name}", text, zones)
        for name, text in (("from", asked.begin), ("to", asked.end))
    )
    if begin_us is not None and end_us is not None and begin_us >= end_us:
        raise ValueError(f"--from {asked.begin} --to {asked.end}: an empty span; --to is not included")
    return Selection(asked.source, asked.indicator, begin_us, end_us)


def _instant(option: str, text: str, zones: set[str]) -> int | None:
    """Microseconds since 1970 UTC. A log has one time zone: a catalogue with another never comes into force."""
    for zone in zones or {"UTC"}:
        calendar = Calendar(zone)
        try:
            return calendar.midnight(date.fromisoformat(text))
        except ValueError:
            pass
        try:
            found = calendar.instant(text)
        except YearZero:
            found = None
        if found is not None:
            return found
        raise ValueError(f"{option} {text}: a date such as 2023-02-01 is wanted, or 2023-02-01T08:00:00+08:00")
    return None


def instant_text(at_us: int | None) -> str | None:
    """For people and JSON."""
    return None if at_us is None else (_EPOCH + at_us * _US).isoformat()
