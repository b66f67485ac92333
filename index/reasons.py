"""Why a value is missing.

Small integers inside (0: it is not missing), words outside (docs/formats.md sections 4 and 5).
"""

from enum import IntEnum


class Reason(IntEnum):
    """Reasons for a missing value, a missing growth, a missing share."""

    NONE = 0
    NO_DATA = 1  # no cell below it
    NO_BASE = 2  # the base period has no amount, or 0, to divide by
    LOW_COVERAGE = 3  # data for less than min_coverage of the weights
    NO_VALUE = 4  # of a measure: the value that it starts from is missing
    NO_PREDECESSOR = 5
    ZERO_PREDECESSOR = 6
    OPEN = 7  # the period is not closed: part against whole would mislead
    CLOSED = 8  # growth to date ends when the period closes
    NO_DAYS = 9  # amounts came by whole periods, so there is no day profile
    NO_COMPLETE_DAY = 10
    OUTSIDE_SPAN = 11
    GAP = 12  # a year-over-year growth inside the span is missing
    NO_PARENT = 13  # of a share: the whole has no value
    ZERO_PARENT = 14
    NO_DENOMINATOR = 16  # the indicator that this one is divided by has no cell
    ZERO_DENOMINATOR = 17
    ZERO_VALUE = 18  # of a leaf that is divided into something (direction lower, entropy), it is 0
    NOT_POSITIVE = 19  # nothing that a logarithm or a geometric mean could take
    NO_SPREAD = 20  # all entities have the same amount, or too few have one, so there is no scale to place them on
    MERGED = 21  # the entity is part of another from this period on
    RELATIVE = 22  # values are relative to the period's entities: parts of two periods cannot be compared
    NOT_FINITE = 23  # the result leaves the range of a double
    UNKNOWN = 15  # read back from the topics, which do not tell it; never published

    @property
    def word(self) -> str:
        """As published: `no-data`, `zero-predecessor`, ..."""
        return self.name.lower().replace("_", "-")


WORDS: list[str] = [r.word for r in sorted(Reason)]  # by code, which is not the order above
CODES: dict[str, int] = {r.word: int(r) for r in Reason}
