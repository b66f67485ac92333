"""The alert rules run beside the alert worker, without any interruption, and what it published is held against them.

What is compared: of every alert (rule, subject), the sequence of all transitions ever committed to `alerts` (firing,
held, resolved: with value, bound, period, since, at, revision, held_by, severity, title), against the sequence that
`index.rules` gives when one process evaluates every committed revision in order. Equal means that each fired once and
resolved once, at the same revision and for the same reason, whoever was killed in between.

By contract this is exact (docs/architecture.md: state, alerts and position move in one transaction, and the rules are a
pure function), with three things kept out of it:

- source silence (ALERT_RULES has none): that depends on when somebody looked into Redis;
- `cause`, which is looked for beside and follows as an amended record: it must amend a transition that was committed;
- `links`, which are settings.

The revisions come from the watcher's own assembly (tests/workers/watcher.py), not from the worker's; the rules are
shared, so this says nothing about whether they are good rules (tests/index/test_rules_oracle.py does).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from confluent_kafka import Consumer, Message, TopicPartition

from index.catalogue import Catalogue
from index.rules.rule import read_rules
from stream.alerts import SILENCE, STATE
from stream.control import read_system
from stream.messages import AlertMessage, IndexUpdate, RankingDelta, Revision, decode_message
from stream.tail import reader_options
from stream.topics import ALERTS, UPDATES, partition_of
from tests.workers.watcher import Parts, Watcher
from workers.alert_system import AlertSystem, subject_of_message
from workers.alert_whole import Whole
from workers.settings import Settings

ALERT_RULES = Path(__file__).with_name("alerts.toml")
POLL_S, READ = 0.1, 5_000
SHOWN = 3
Key = tuple[str, str]  # rule, subject


class Story(Watcher):
    """A watcher that keeps each whole revision until somebody takes it."""

    def __init__(self, kafka: str, system: str) -> None:
        """Reads from the beginning of the topics."""
        super().__init__(kafka, system)
        self.kept: deque[tuple[Parts, list[tuple[str, str]]]] = deque()
        self._removed: list[tuple[int, tuple[str, str]]] = []

    def take(self, topic: str, key: str, raw: bytes | None) -> None:
        """The next record; a tombstone belongs to the revision of the update before it, unless that one is past."""
        if raw is None and topic == UPDATES:
            entity, _, period = key.partition("/")
            self._removed.append((self._in_topic.get(UPDATES, 0), (entity, period)))
        super().take(topic, key, raw)

    def followed(self, parts: Parts) -> None:
        """Keep it."""
        assert parts.revision is not None
        number = parts.revision["revision"]
        self.kept.append((parts, [each for after, each in self._removed if after <= number]))
        self._removed = [each for each in self._removed if each[0] > number]


class Rules:
    """One uninterrupted evaluation of a system's revisions."""

    def __init__(self, settings: Settings, system: str) -> None:
        """Errors: DefinitionError, CatalogueError."""
        self._settings, self._name = settings, system
        self._rules = read_rules(settings.alerts or ALERT_RULES)
        self._catalogue = Catalogue.load(settings.catalogue)
        self._system: AlertSystem | None = None
        self.made: dict[Key, list[AlertMessage]] = {}
        self.revision = 0

    def follow(self, kept: Iterable[tuple[Parts, list[tuple[str, str]]]]) -> None:
        """The next revisions, in order. Errors: UnreachableError."""
        for parts, removed in kept:
            revision = msgspec.convert(parts.revision, Revision)
            system = self._of(revision)
            whole = Whole(
                revision,
                [msgspec.convert(update, IndexUpdate) for update in parts.updates.values()],
                [msgspec.convert(delta, RankingDelta) for delta in parts.deltas.values()],
                removed,
                0,
            )
            for alert in system.evaluate(whole, {}):
                self.made.setdefault(key_of(alert), []).append(alert)
            self.revision = revision.revision

    def _of(self, revision: Revision) -> AlertSystem:
        """The system with the definition that made the revision."""
        versions = revision.definition, revision.catalogue
        if self._system is None or self._system.versions != versions:
            # Later catalogues of the trial are the first one under another number.
            catalogue = msgspec.structs.replace(self._catalogue, version=revision.catalogue)
            control = read_system(self._settings.kafka, self._name).versions[revision.definition]
            system = AlertSystem(self._settings, self._rules, control, catalogue)
            if self._system is not None:
                system.adopt(self._system)
            self._system = system
        return self._system


class Heard:
    """Everything that was ever committed to `alerts`; a thread reads along, before compaction takes it away."""

    def __init__(self, kafka: str, system: str) -> None:
        """Reads from the beginning of the topic."""
        self._name = system
        self.told: dict[Key, list[AlertMessage]] = {}
        self.evaluated = 0  # the last revision in the worker's own state
        self.causes = 0
        self.wrong: list[str] = []
        self._consumer = Consumer(reader_options(kafka, None, committed=True))
        self._consumer.assign([TopicPartition(ALERTS, partition_of(system), 0)])
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"alerts-heard-{system}")

    def __enter__(self) -> Self:
        """Begin to read."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

    def take(self, key: str, value: bytes | None) -> None:
        """One record."""
        first, _, rest = key.partition("/")
        if first == STATE:
            if rest == f"{self._name}/head" and value is not None:
                self.evaluated = msgspec.json.decode(value)["revision"]
            return
        if first == SILENCE or not rest.endswith(f"/{self._name}"):
            return
        if value is None:
            self.wrong.append(f"alert {key}: a tombstone")
            return
        alert = decode_message(AlertMessage, value, key)
        history = self.told.setdefault(key_of(alert), [])
        if alert.cause is None:
            history.append(alert)
            return
        self.causes += 1
        if not any(plain(alert) == plain(each) for each in history):
            self.wrong.append(f"alert {key}: a cause for a transition that was never committed: {plain(alert)}")

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                first = self._consumer.poll(POLL_S)
                message: Message
                for message in () if first is None else (first, *self._consumer.consume(READ, timeout=0)):
                    if message.error() is None:
                        self.take((message.key() or b"").decode(), message.value())
        except Exception as error:
            self.wrong.append(f"the reader of alerts cannot go on: {error!r}")
        finally:
            self._consumer.close()


def key_of(alert: AlertMessage) -> Key:
    """Rule and subject."""
    return alert.rule, subject_of_message(alert)


def plain(alert: AlertMessage) -> dict[str, Any]:
    """What is compared of a transition."""
    return {name: value for name, value in msgspec.to_builtins(alert).items() if name not in ("cause", "links")}


def differences(made: dict[Key, list[AlertMessage]], told: dict[Key, list[AlertMessage]]) -> list[str]:
    """Every alert of which the rules say something else than what was told, the first SHOWN in full."""
    out = []
    for key in sorted(made.keys() | told.keys()):
        by_rules, by_worker = ([plain(each) for each in side.get(key, ())] for side in (made, told))
        if by_rules == by_worker:
            continue
        at = next((i for i, (a, b) in enumerate(zip(by_rules, by_worker, strict=False)) if a != b), None)
        at = min(len(by_rules), len(by_worker)) if at is None else at
        pair = [side[at] if at < len(side) else None for side in (by_rules, by_worker)]
        shown = "" if len(out) >= SHOWN else f"; transition {at + 1}: by the rules {pair[0]}, told {pair[1]}"
        out.append(f"alert {'/'.join(key)}: {len(by_rules)} transitions by the rules, {len(by_worker)} told{shown}")
    return out
