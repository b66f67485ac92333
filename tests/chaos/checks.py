"""What must hold after each round of faults, whatever they were; each kind of finding in words, none of them raised.

    with Checker(kafka, redis, system, partitions=4) as checker:    # from before the first event on
        ...                                                         # faults; then all healed, and the feeds at rest
        found = checker.check(sent=events, expected=counts, alive=crew.check)
        record.add(Round(round=n, faults=kinds, recovered_s=found.rested_at - healed_at, **found.fields()))

In this order, and only if all came to rest (lag zero within `still_s` of the last progress):

1. lag zero: Redis and the last revision stand at the log's end, the alert worker has evaluated that revision;
2. the watcher that ran all along is content, and its tables are the compacted ones (tests/workers/watcher.py);
3. `verify`: no difference in cells, days, values, growths, ranks, tables, counts, windows;
4. counts: sent = accepted + duplicate + rejected, each reason as foreseen, and the log's own number of events; the
   dead letters are the rejected ones, each once (tests/chaos/letters_along.py);
5. alerts: what was told is what the rules give without any interruption (tests/chaos/alerts_along.py).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaException
from redis.exceptions import RedisError

from stream.errors import StreamError
from stream.tail import high_watermarks
from stream.topics import EVENTS
from tests.chaos.alerts_along import ALERT_RULES, Heard, Rules, Story, differences
from tests.chaos.letters_along import Letters
from tests.waiting import eventually
from tests.workers.watcher import REST_S
from workers.drained import NotDrainedError, wait_until_drained
from workers.local.errors import ReadItsLogError
from workers.settings import Settings
from workers.verify import Report, VerifyError, verify

__all__ = ["ALERT_RULES", "Checker", "Found"]

SHOWN = 8  # of each kind of failure
# What a look at the servers may meet; that nothing came to rest is a finding, not an error of the trial.
TROUBLE = (
    AssertionError, NotDrainedError, ReadItsLogError, VerifyError, StreamError, KafkaException, RedisError, OSError,
)  # fmt: skip


@dataclass
class Found:
    """Of one round. `rested_at`: monotonic time of lag zero (0: never); counts are of the whole run so far."""

    rested_at: float = 0.0
    sent: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    letters: int = 0
    revision: int = 0
    differences: int = 0
    cells: int = 0
    values: int = 0
    growths: int = 0
    ranks: int = 0
    alerts: int = 0
    checked_s: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything held."""
        return not self.failures

    def fields(self) -> dict[str, Any]:
        """What `record.Round` takes of it."""
        return {name: value for name, value in vars(self).items() if name != "rested_at"}

    def hold(self, true: bool, otherwise: str) -> None:
        """Note a failure."""
        if not true:
            self.failures.append(otherwise)


class Checker:
    """See the head of this file. The topics must be there, and nothing published yet."""

    def __init__(
        self, kafka: str, redis: str, system: str, *, partitions: int, systems: Path | None = None, alerts: bool = True
    ) -> None:
        """`alerts`: an alert worker runs, with ALERT_RULES. `systems`: None where the settings' own are meant."""
        self._kafka, self._redis, self._system, self._partitions = kafka, redis, system, partitions
        chosen = {} if systems is None else {"systems": systems}
        settings = Settings(kafka=kafka, redis=redis, alerts=ALERT_RULES, **chosen)
        self.watcher = Story(kafka, system)
        self._heard = Heard(kafka, system) if alerts else None
        self._rules = Rules(settings, system)
        self._letters = Letters(kafka, partitions)

    def __enter__(self) -> Self:
        """Look on from now."""
        self.watcher.__enter__()
        if self._heard is not None:
            self._heard.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self.watcher.__exit__(kind, error, trace)
        if self._heard is not None:
            self._heard.__exit__(kind, error, trace)
        self._letters.close()

    def ends(self) -> dict[int, int]:
        """The next offset of each partition of the log. Errors: UnreachableError."""
        where = [(EVENTS, p) for p in range(self._partitions)]
        return {p: end for (_, p), end in high_watermarks(self._kafka, where, timeout_s=20.0).items()}

    def check(
        self,
        *,
        sent: int,
        expected: Counter[str] | None,
        alive: Callable[[], None] = lambda: None,
        still_s: float = 90.0,
    ) -> Found:
        """Wait for rest, and hold everything against everything. Raises nothing for what it finds.

        `sent`: events in all so far; `expected`: by outcome as the counts name them (None: only the sum is known);
        `alive`: raises where a worker ended by itself; `still_s`: without progress for so long, it will not rest.
        """
        found, began = Found(sent=sent), time.monotonic()
        try:
            ends = self.ends()
            while True:
                self._until_rest(found, ends, alive, still_s)
                report = verify(self._kafka, self._redis, self._system, rest_s=REST_S)
                # A take-over publishes once more (tables that its predecessor still owed), also behind a first rest.
                if report.at_rest or time.monotonic() - began > still_s:
                    break
            self._hold_published(found, ends)
            self._hold_verified(found, report, ends)
            self._hold_counts(found, report, expected)
            self._hold_letters(found)
            self._hold_alerts(found)
            alive()
        except TROUBLE as error:
            found.failures.append(f"{type(error).__name__}: {error}")
        found.checked_s = round(time.monotonic() - began, 3)
        return found

    def _until_rest(self, found: Found, ends: dict[int, int], alive: Callable[[], None], still_s: float) -> None:
        reached = wait_until_drained(self._kafka, self._redis, ends, [self._system], timeout_s=still_s, check=alive)
        found.revision = reached[self._system]
        heard = self._heard
        if heard is not None:
            eventually(
                lambda: heard.wrong or heard.evaluated >= found.revision,
                still_s,
                lambda: f"the alert worker has evaluated revision {heard.evaluated} of {found.revision}",
            )
        found.rested_at = time.monotonic()
        eventually(
            lambda: self.watcher.wrong or (self.watcher.revision >= found.revision and self.watcher.at_rest()),
            still_s,
            self.watcher.standing,
        )

    def _hold_published(self, found: Found, ends: dict[int, int]) -> None:
        found.failures += [f"watcher: {each}" for each in self.watcher.wrong[:SHOWN]]
        found.hold(self.ends() == ends, f"the log grew from {ends} to {self.ends()}: the feeds are not at rest")

    def _hold_verified(self, found: Found, report: Report, ends: dict[int, int]) -> None:
        found.revision = report.revision
        found.differences = sum(report.found.values())
        found.cells, found.values, found.growths, found.ranks = (
            report.compared[what] for what in ("cells", "values", "growths", "ranks")
        )
        found.failures += [f"verify: {tuple(each)}" for each in report.differences[:SHOWN]]
        found.hold(report.at_rest, f"revision {report.revision} was not the last: published, and nothing came")
        for what, offsets in (("the last revision", report.offsets), ("Redis", report.redis_offsets)):
            found.hold(offsets == ends, f"{what} stands at {offsets}, the log ends at {ends}")
        try:
            self.watcher.content(report.revision)
        except AssertionError as error:
            found.failures.append(f"watcher: {error}")

    def _hold_counts(self, found: Found, report: Report, expected: Counter[str] | None) -> None:
        counts = Counter(report.counts)
        found.accepted, found.duplicate = counts["accepted"], counts["duplicate"]
        rejected = {name: n for name, n in sorted(counts.items()) if name not in ("accepted", "duplicate") and n}
        found.rejected = {name.removeprefix("rejected:"): n for name, n in rejected.items()}
        total = sum(counts.values())
        found.hold(total == found.sent, f"{found.sent} events were sent, {total} are counted: {dict(counts)}")
        found.hold(report.events == found.sent, f"{found.sent} events were sent, the log holds {report.events}")
        if expected is not None:
            odd = sorted(name for name in counts | expected if counts[name] != expected[name])
            found.hold(not odd, "; ".join(f"{name}: {counts[name]} counted, {expected[name]} sent" for name in odd))

    def _hold_letters(self, found: Found) -> None:
        self._letters.look()
        letters = self._letters.counts()
        found.letters = sum(letters.values())
        rejected = Counter({f"rejected:{reason}": n for reason, n in found.rejected.items()})
        found.hold(letters == rejected, f"dead letters {dict(letters)}, rejected {dict(rejected)}")
        found.failures += self._letters.wrong[:SHOWN]

    def _hold_alerts(self, found: Found) -> None:
        if self._heard is None:
            self.watcher.kept.clear()
            return
        self._rules.follow(self.watcher.kept.popleft() for _ in range(len(self.watcher.kept)))
        found.alerts = sum(map(len, self._rules.made.values()))
        wrong = differences(self._rules.made, self._heard.told)
        found.hold(not wrong, f"{len(wrong)} alerts differ:\n" + "\n".join(wrong[:SHOWN]))
        found.failures += self._heard.wrong[:SHOWN]
