"""Reading, planning and committing as one turn: of two retractions at the same time the later one decides.

The compensating events are one Kafka transaction over all partitions, so a retraction is in the log whole or not at
all. What the source sends after the command began is not taken back. What others sent between the reading and the
transaction was not known to the plan: so the log is read on behind it, and what is not as it should be then (a cell
that ended and that others have written to meanwhile) is mended by a transaction like the first.
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
from workers.repair_error import RepairError
from workers.retraction.ledger import Ledger
from workers.retraction.plan import Plan, make_plan
from workers.retraction.selection import Selection, chain
from workers.settings import Settings
from workers.verify.accept import COLUMNS, Judge
from workers.verify.batch import CHUNK_EVENTS
from workers.verify.log import Log
from workers.verify.redis_state import read_schemas
from workers.verify.replay import PROGRESS_S, check_whole, first_catalogues
from workers.verify.times import Calendar, YearZero

# Transactions, at most: another is needed only where others wrote to the very cells in the second before the last.
ROUNDS = 8
DROPS_SINCE = 2  # schema version of a state whose owner knows them
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
    """What was read, up to `ends` (partition -> next offset), and the plan for it. `known`: the source was met.
    `reading`: to go on from there.
    """

    selection: Selection
    ends: dict[int, int]
    plan: Plan
    known: bool
    reading: Reading


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
    ends = _ends(settings, partitions)
    check_whole({p: low for p, (low, _) in log.bounds(EVENTS, partitions).items()}, {})
    first = first_catalogues(log, ends)
    selection = _selection(asked, {checks.catalogue.timezone for checks in first.values()})
    ledger = Ledger(selection)
    judges = {p: Judge(p, first.get(p), ledger.accepted, ()) for p in partitions}
    reading = Reading(settings, log, ledger, judges, say, wall_s, clock)
    reading.read(ends)
    known = {code for judge in judges.values() for each in judge.catalogues for code in each.indicators}
    if asked.indicator is not None and asked.indicator not in known:
        raise ValueError(f"--indicator {asked.indicator}: no catalogue in the log knows it; `tidewatch catalogue show`")
    met = any(name in ledger.accepted.sources for name in chain(asked.source))
    return Found(selection, ends, reading.plan(), met, reading)


def _ends(settings: Settings, partitions: list[int]) -> dict[int, int]:
    where = [(EVENTS, p) for p in partitions]
    return {p: end for (_, p), end in high_watermarks(settings.kafka, where, settings.kafka_options).items()}


class Reading:
    """The log as far as it was read; plans are made of it."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        ledger: Ledger,
        judges: dict[int, Judge],
        say: Callable[[str], None],
        wall_s: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._settings, self._log, self._ledger, self._judges = settings, log, ledger, judges
        self._say, self._wall_s, self._clock = say, wall_s, clock
        self._at = dict.fromkeys(judges, 0)

    def read(self, ends: dict[int, int]) -> None:
        """Go on to `ends` (partition -> next offset). Errors: VerifyError."""
        told, ledger = self._clock(), self._ledger
        ahead = {p: end for p, end in ends.items() if end > self._at[p]}
        for read, record in enumerate(self._log.read(EVENTS, ahead, begins=self._at)):
            self._judges[record.partition].record(record.offset, record.timestamp_ms, record.key, record.value)
            if len(ledger.accepted.rows) >= CHUNK_EVENTS * len(COLUMNS):
                ledger.take()
            if read % 10_000 == 0 and self._clock() - told >= PROGRESS_S:
                told = self._clock()
                self._say(f"read {read:,} of about {sum(ahead.values()):,} messages")
        self._at |= ahead
        ledger.take()

    def read_on(self) -> None:
        """To where the log ends now. From here on, the source's own events are not to be taken back."""
        self._ledger.closed = True
        self.read(_ends(self._settings, list(self._judges)))

    def plan(self) -> Plan:
        """What is to be done as far as the log was read. Errors: VerifyError."""
        return make_plan(self._ledger, self._judges, int(self._wall_s() * 1000))


def check_upgraded(settings: Settings, plan: Plan) -> None:
    """Refuse a plan with drops while a worker may own their partitions that would reject them.

    Errors: RepairError, VerifyError (Redis does not answer).
    """
    found = read_schemas(settings.redis, sorted(plan.drops))
    older = {p: schema for p, schema in found.items() if schema is None or schema < DROPS_SINCE}
    if older:
        partition, schema = next(iter(older.items()))
        raise RepairError(
            f"partition {partition}: its state in Redis is "
            + ("not there yet" if schema is None else f"of schema version {schema}")
            + f", and workers before version {DROPS_SINCE} reject the op `drop`; nothing was sent. Upgrade the ingest "
            "workers first (docs/runbook.md, Upgrading)"
        )


def carry_out(turn: Turn, found: Found) -> tuple[int, Plan]:
    """Commit the plan, and mend what it met, until nothing is left to do: (events sent, the last plan; what it has rows
    of cannot be done).

    Errors: as `commit`, VerifyError, RepairError; what was committed before stays, and the command may be run again.
    """
    plan, reading, sent = found.plan, found.reading, 0
    for _ in range(ROUNDS):
        commit(turn, plan)
        sent += plan.compensating
        reading.read_on()
        plan = reading.plan()
        if not plan.messages:
            return sent, plan
    raise RepairError(
        f"after {ROUNDS} transactions others still write to the same cells in between; {len(plan.rows)} cells are not "
        "yet as they would be without the events. Run it again when fewer events flow"
    )


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
