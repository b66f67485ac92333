"""Errors of the Redis side, classed by what the caller does next.

StateError
├── OwnershipLost        stop writing this partition with this token
│   ├── FencedError      another token is stored: acquire again if Kafka still assigns the partition, else stop
│   └── RewoundError     the stored offset is not ours (Redis went back in time): acquire again and reread
│       └── DowngradedError  it went back behind an upgrade of its schema: the same
├── FeedGapError         the change feed no longer continues what was applied: load the partition again
├── SchemaError          the state has a version that this worker does not know: stop, a person upgrades this worker
└── CorruptStateError    a stored value cannot be read: stop, a person looks (`tidewatch verify` names the cell)
"""

from __future__ import annotations


class StateError(Exception):
    """Base of all errors of this package."""


class OwnershipLost(StateError):
    """The partition may not be written with this token and offset any more."""

    def __init__(self, partition: int, message: str) -> None:
        super().__init__(message)
        self.partition = partition


class FencedError(OwnershipLost):
    """Another worker (or a later acquire of our own) owns the partition: nothing was written."""

    def __init__(self, partition: int, stored: str) -> None:
        super().__init__(
            partition, f"partition {partition}: fenced, Redis names another owner ({stored or 'none'}); nothing written"
        )


class RewoundError(OwnershipLost):
    """The offset in Redis is not the one that this flush starts from: nothing was written."""

    def __init__(self, partition: int, expected: int, stored: int) -> None:
        super().__init__(
            partition,
            f"partition {partition}: Redis stands at offset {stored}, not at {expected}: it lost its last writes; "
            "reading them again from Kafka",
        )
        self.expected = expected
        self.stored = stored


class DowngradedError(RewoundError):
    """Redis holds the state of an older schema version than the one this owner has written: nothing was written."""

    def __init__(self, partition: int, offset: int, stored: str) -> None:
        super().__init__(partition, offset, offset)
        self.args = (
            f"partition {partition}: Redis holds schema version {stored} again, it went back behind the upgrade; "
            "taking the partition over again, which repeats it",
        )


class FeedGapError(StateError):
    """The next feed entry does not follow what was applied: entries between were trimmed, or the state was replaced."""

    def __init__(self, partition: int, applied: int, start: int) -> None:
        super().__init__(
            f"partition {partition}: the change feed continues at {start}, applied is {applied}, or the state was "
            "replaced; loading"
        )
        self.partition = partition


class SchemaError(StateError):
    """The stored state has a schema version that this worker does not know, or that its owner must bring up first
    (from `oldest` on, where that is given).
    """

    def __init__(self, partition: int, stored: str, known: int, oldest: int | None = None) -> None:
        older = stored.isdecimal() and int(stored) < known
        do = "run the version in between first: it brings the state up" if older else "upgrade the worker"
        if older and oldest is not None and int(stored) >= oldest:
            do = "let an ingest worker of this version take the partition over: it brings the state up"
        self.older = older
        super().__init__(
            f"partition {partition}: Redis holds schema version {stored}, this worker knows {known}; "
            f"{do} (nothing was written; docs/runbook.md, Upgrading)"
        )


class CorruptStateError(StateError):
    """A stored value is not of the form that docs/formats.md section 3 gives."""

    def __init__(self, key: str, value: object) -> None:
        super().__init__(f"{key}: cannot read {value!r}; compare with `tidewatch verify`, then rebuild the partition")
