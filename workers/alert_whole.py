"""Revisions put together again from their three topics: whole, in order, each once.

A revision is one transaction, but its topics are read one by one. Its record on `revisions` says how many updates and
deltas belong to it; it is whole when they are there, or when a later one has been seen on the topic that lacks some
(compaction removed them: what they said is in a later one), or when nothing more can be there (`drained`).

The position that is safe to store is, by topic, the first message that belongs to a revision not handed out yet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from stream.messages import IndexUpdate, RankingDelta, Revision, read_message
from stream.topics import DELTAS, REVISIONS, UPDATES

log = structlog.get_logger(__name__)

TOPICS = (UPDATES, DELTAS, REVISIONS)


def _foreign(text: str) -> None:
    log.warning("foreign record", reason=text, action="it is passed over")


@dataclass(frozen=True, slots=True)
class Whole:
    """A revision with what belongs to it, and to earlier ones whose record is no more. `written_ms`: Kafka's time;
    `lacking`: how many of its messages are no more.
    """

    revision: Revision
    updates: list[IndexUpdate]
    deltas: list[RankingDelta]
    removed: list[tuple[str, str]]
    written_ms: int
    lacking: int = 0


@dataclass(slots=True)
class _System:
    updates: deque[tuple[int, IndexUpdate]] = field(default_factory=deque)  # offset, message
    deltas: deque[tuple[int, RankingDelta]] = field(default_factory=deque)
    removed: deque[tuple[int, int, tuple[str, str]]] = field(default_factory=deque)  # offset, after which revision
    revisions: dict[int, tuple[int, int, Revision]] = field(default_factory=dict)  # offset, Kafka's time
    seen: dict[str, int] = field(default_factory=dict)  # highest revision by topic
    counts: dict[tuple[str, int], int] = field(default_factory=dict)
    done: int = 0


class Assembler:
    """Of one partition of the outputs. `done`: system -> last revision that was evaluated."""

    def __init__(self, done: Mapping[str, int], offsets: Mapping[str, int]) -> None:
        """`offsets`: where reading begins, by topic."""
        self._systems = {system: _System(done=revision) for system, revision in done.items()}
        self._next = dict(offsets)

    def take(self, topic: str, offset: int, key: str, value: bytes | None, written_ms: int) -> None:
        """One committed message, in the order of its topic; one that is none of ours is named and passed over.

        Errors: NewerMessageError.
        """
        self._next[topic] = offset + 1
        name = key.partition("/")[0]
        system = self._systems.setdefault(name, _System())
        where = f"{topic} {key}"
        if value is None:
            if topic == UPDATES and key.count("/") == 2:
                _, entity, period = key.split("/")
                system.removed.append((offset, system.seen.get(UPDATES, 0), (entity, period)))
            return
        if topic == REVISIONS:
            revision = read_message(Revision, value, where, _foreign)
            if revision is None:
                return
            if revision.revision > system.done:
                system.revisions[revision.revision] = offset, written_ms, revision
            number = revision.revision
        elif topic == UPDATES:
            update = read_message(IndexUpdate, value, where, _foreign)
            if update is None:
                return
            number = update.revision
            if number > system.done:
                system.updates.append((offset, update))
        else:
            delta = read_message(RankingDelta, value, where, _foreign)
            if delta is None:
                return
            number = delta.revision
            if number > system.done:
                system.deltas.append((offset, delta))
        system.counts[topic, number] = system.counts.get((topic, number), 0) + 1
        system.seen[topic] = max(system.seen.get(topic, 0), number)

    def passed(self, topic: str, offset: int) -> None:
        """Nothing but markers lies before `offset`."""
        self._next[topic] = max(self._next.get(topic, 0), offset)

    def whole(self, *, drained: bool = False) -> list[Whole]:
        """The revisions that are whole now, by system in order. `drained`: nothing more of those known can come."""
        out = []
        for system in self._systems.values():
            for number in sorted(system.revisions):
                _, written_ms, revision = system.revisions[number]
                if not (drained or _complete(system, revision)):
                    break
                del system.revisions[number]
                system.done = number
                updates = [m for _, m in _until(system.updates, number)]
                deltas = [m for _, m in _until(system.deltas, number)]
                removed = []
                while system.removed and system.removed[0][1] <= number:
                    removed.append(system.removed.popleft()[2])
                lacking = sum(_lacking(system, revision).values())
                system.counts = {key: n for key, n in system.counts.items() if key[1] > number}
                out.append(Whole(revision, updates, deltas, removed, written_ms, lacking))
        return out

    @property
    def waiting(self) -> bool:
        """Whether a revision is known that is not whole."""
        return any(system.revisions for system in self._systems.values())

    def offsets(self) -> dict[str, int]:
        """By topic, where reading must begin to see again all that was not handed out."""
        out = dict(self._next)
        for system in self._systems.values():
            firsts = {
                UPDATES: [*(offset for offset, _ in _first(system.updates)), *(r[0] for r in _first(system.removed))],
                DELTAS: [offset for offset, _ in _first(system.deltas)],
                REVISIONS: [offset for offset, _, _ in system.revisions.values()],
            }
            for topic, offsets in firsts.items():
                if offsets:
                    out[topic] = min(out[topic], *offsets)
        return out


def _lacking(system: _System, revision: Revision) -> dict[str, int]:
    """How many of its messages were not seen, by topic."""
    expected = {UPDATES: revision.updates, DELTAS: revision.deltas}
    return {topic: max(0, n - system.counts.get((topic, revision.revision), 0)) for topic, n in expected.items()}


def _complete(system: _System, revision: Revision) -> bool:
    lacking = _lacking(system, revision)
    return all(n == 0 or system.seen.get(topic, 0) > revision.revision for topic, n in lacking.items())


def _until(queue: deque, number: int) -> list:  # type: ignore[type-arg]
    out = []
    while queue and queue[0][1].revision <= number:
        out.append(queue.popleft())
    return out


def _first(queue: deque) -> list:  # type: ignore[type-arg]
    return [queue[0]] if queue else []
