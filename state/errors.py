"""Errors of the Redis side, classed by what the caller does next.

StateError
├── OwnershipLost        stop writing this partition with this token
│   ├── FencedError      another token is stored: acquire again if Kafka still assigns the partition, else stop
│   └── RewoundError     the stored offset is not ours (Redis went back in time): acquire again and reread
├── FeedGapError         the change feed no longer continues what was applied: load the partition again
├── SchemaError          the state was written by a newer version: stop, a person upgrades this worker
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


class FeedGapError(StateError):
    """The next feed entry does not follow what was applied: entries between were trimmed, or the state was replaced."""

    def __init__(self, partition: int, applied: int, start: int) -> None:
        super().__init__(
            f"partition {partition}: the change feed continues at {start}, applied is {applied}, or the state was "
            "replaced; loading"
        )
        self.partition = partition


class SchemaError(StateError):
    """The stored state has a schema version that this worker does not know."""

    def __init__(self, partition: int, stored: str, known: int) -> None:
        super().__init__(
            f"partition {partition}: Redis holds schema version {stored}, this worker knows {known}; "
            "upgrade the worker (nothing was written)"
        )


class CorruptStateError(StateError):
    """A stored value is not of the form that docs/formats.md section 3 gives."""

    def __init__(self, key: str, value: object) -> None:
        super().__init__(f"{key}: cannot read {value!r}; compare with `tidewatch verify`, then rebuild the partition")
