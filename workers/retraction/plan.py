"""The compensating events, each judged as the workers will judge it, and what they cannot do, cell by cell.

Invariant: every event of a plan is accepted where it follows what was read, and then every flow's cell and day cell
holds the sum, every stock's period the level, that it would hold without the selection, and nothing where nothing would
be. What cannot be done is told: the event would be rejected, for the reason given (the catalogue in force no longer
knows or allows it).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from workers.retraction.changes import DONE, Change, Changes, Row, cells_left, in_bounds, text_of
from workers.retraction.ledger import Ledger
from workers.retraction.presence import presence
from workers.verify.accept import Judge
from workers.verify.errors import VerifyError

MESSAGE_BYTES = 256 << 10  # of an array of compensating events, where the catalogue allows as much


class Message(NamedTuple):
    """A record to write."""

    partition: int
    key: str
    value: bytes


@dataclass
class Plan:
    """`compensating`: how many events `messages` hold, in the order of sending; `events`: how many of the source's own
    are selected in the rows; `cells`: partition -> the rows that it leaves, as the feed has them (absolute); `drops`:
    the partitions that a drop goes to.
    """

    messages: list[Message] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    compensating: int = 0
    events: int = 0
    cells: dict[int, list[list[str]]] = field(default_factory=dict)
    drops: set[int] = field(default_factory=set)

    def of(self, *outcomes: str) -> list[Row]:
        """The rows that end so."""
        return [row for row in self.rows if row.outcome in outcomes]

    @property
    def refused(self) -> list[Row]:
        """The rows whose compensation would be rejected."""
        return [row for row in self.rows if row.outcome != DONE]


def make_plan(ledger: Ledger, judges: Mapping[int, Judge], now_ms: int) -> Plan:
    """The plan for what `ledger` holds; `judges` stand behind the last record read, and judge it at `now_ms`.

    They and the ledger stay as they are: more of the log can be read after it.
    """
    ledger.take()
    after = ledger.accepted.copy()
    made, planner = Changes(ledger, judges), _Planner({p: judge.copy(after) for p, judge in judges.items()}, now_ms)
    flows, sets = made.flows(), made.stocks()
    flows = in_bounds(planner.passing(flows), ledger.accepted, judges)
    flows += planner.passing(presence(ledger, made, flows))
    # Levels have their numbers already: they go first, in the order of these, so that none falls below the window.
    sets = sorted(planner.passing(sets), key=lambda change: (change.partition, change.source, change.seq or 0))
    flows.sort(key=lambda change: (change.partition, change.row.city))  # stable: the order within a city stays
    rows = made.rows
    for (partition, city), group in groupby([*sets, *flows], lambda change: (change.partition, change.row.city)):
        planner.pack(partition, city, list(group))
    plan = planner.plan
    for change in [*sets, *flows]:
        plan.cells.setdefault(change.partition, []).extend(cells_left(change, after))
        if change.drop:
            plan.drops.add(change.partition)
    plan.rows = sorted(rows, key=lambda row: (row.city, row.indicator, row.industry, row.period))
    plan.events = sum(row.events for row in rows)
    return plan


class _Planner:
    """Judges, numbers and packs the changes."""

    def __init__(self, judges: Mapping[int, Judge], now_ms: int) -> None:
        self.plan = Plan()
        self._judges, self._now_ms = judges, now_ms
        self._next: dict[tuple[int, str], int] = {}

    def passing(self, changes: list[Change]) -> list[Change]:
        """Those that the checks let pass; where one of a cell's is refused, none of them is sent."""
        for change in changes:
            judge, text = self._judges[change.partition], text_of(change, change.seq or 0)
            reason = judge.refuses(json.loads(text), self._now_ms)
            if judge.in_force is not None and len(text) + 18 > judge.in_force.event_bytes:  # a number has 19 digits
                reason = "too-large"
            if reason is not None:
                for row in change.fate:
                    row.outcome = reason
        return [change for change in changes if change.row.outcome == DONE]

    def pack(self, partition: int, city: str, changes: list[Change]) -> None:
        """Number a city's changes, and pack them into arrays. Errors: VerifyError, where the judge rejects one."""
        judge, texts = self._judges[partition], []
        for change in changes:
            seq = self._number(change) if change.seq is None else change.seq
            self._next[partition, change.source] = max(seq + 1, self._next.get((partition, change.source), 0))
            text = text_of(change, seq)
            outcome = judge.judge(-1, 0, json.loads(text), self._now_ms)
            if outcome != "accepted":
                raise VerifyError(f"{text.decode()} was to be accepted, and is {outcome}; nothing was sent")
            texts.append(text)
        assert judge.in_force is not None
        limit = min(MESSAGE_BYTES, judge.in_force.message_bytes)
        begin, size = 0, 1
        for i, text in enumerate([*texts, b""]):
            if i == len(texts) or (size + len(text) + 1 > limit and i > begin):
                self.plan.messages.append(Message(partition, city, b"[" + b",".join(texts[begin:i]) + b"]"))
                begin, size = i, 1
            size += len(text) + 1
        self.plan.compensating += len(texts)

    def _number(self, change: Change) -> int:
        top = self._judges[change.partition].top(change.source)
        return self._next.get((change.partition, change.source), 1 if top is None else top + 1)
