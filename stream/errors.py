"""Errors of the Kafka side, classed by what the caller does next.

StreamError
├── UnreachableError     Kafka does not answer: wait and try again
├── PublisherFenced      another index worker took the system over: reconcile if still assigned, else stop
├── BackwardsError       a revision would take back what the last one included: reconcile, which waits for the cells
├── OvertakenError       somebody else did the same at the same time: look what stands now, and decide anew
├── RetentionError       the log no longer holds an offset that is needed: stop, a person decides
└── MessageError         a message of ours cannot be read (a foreign writer): named and passed over, or a person looks
    └── NewerMessageError  its schema version is not one that this code reads: stop, a person upgrades this worker
"""

from __future__ import annotations


class StreamError(Exception):
    """Base of all errors of this package."""


class UnreachableError(StreamError):
    """Kafka did not answer in time; nothing is lost, try again."""


class PublisherFenced(StreamError):
    """A newer producer with this transactional id exists: what was under way is not committed."""


class BackwardsError(StreamError):
    """The cut of a revision lies below the last revision's: nothing was published."""

    def __init__(self, system: str, revision: int, below: dict[str, tuple[int, int]]) -> None:
        """`below`: partition -> (offset of the last revision, offset of this one)."""
        places = ", ".join(f"partition {p} at {now}, published up to {last}" for p, (last, now) in below.items())
        super().__init__(
            f"system {system}: revision {revision} would go back: {places}; not published. Reconciling: it goes on "
            "when the cells have reached the last revision again"
        )
        self.below = below


class OvertakenError(StreamError):
    """Another command took the same turn later: what this one was about to write is not committed."""


class RetentionError(StreamError):
    """The log does not hold the offset that the state names: events between are gone from Kafka."""

    def __init__(self, topic: str, partition: int, wanted: int, low: int, high: int) -> None:
        """`wanted`: what Redis names; the log holds `low` up to (not including) `high`."""
        said = f"{topic}/{partition}: Redis names offset {wanted}, the log holds {low} to {high}: "
        if wanted < low:
            said += (
                f"{low - wanted} offsets are gone, nothing was skipped. Raise the retention; then restore a backup of "
                f"Redis that names a held offset (tidewatch restore), or accept the loss: "
                f"tidewatch skip-missing --partition {partition} --to {low}"
            )
        else:
            said += (
                f"Redis is {wanted - high} ahead, nothing was skipped. If the log lost its end, restore a backup of "
                f"Redis that names at most {high} (tidewatch restore); if the topic was made anew, Redis belongs to "
                "another log: use an empty one, and new output topics"
            )
        super().__init__(said)
        self.topic, self.partition, self.wanted, self.low, self.high = topic, partition, wanted, low, high


class MessageError(StreamError):
    """A message on a topic of ours has a form that this code does not know."""


class NewerMessageError(MessageError):
    """A message of ours has a schema version that this code does not read."""

    def __init__(self, where: str, version: int, known: int) -> None:
        do = (
            "upgrade the worker"
            if version > known
            else "this build no longer reads it: an older one must write it anew"
        )
        super().__init__(f"{where}: schema {version}, this worker knows {known}; {do} (docs/runbook.md, Upgrading)")
