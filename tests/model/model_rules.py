"""The rules of docs/protocol.md as switches, in the order of its table, and two that its last paragraph only
argues.

`ON` is the product. `ON - {Rule.WATCH}` is the product without that rule: what stands in its place is written at the
member, and done at the one place in the actions that asks for it.
"""

from enum import Enum


class Rule(Enum):
    """A rule; the text says what the protocol does WITHOUT it."""

    ACQUIRE_IS_LOAD = "acquire sets the token and reads the offset; the mirror is loaded by a second command"
    REFUSED_ASKS = "a refused ingest worker stops, whatever Kafka assigns"
    WATCH = "owners do not compare token and offset while nothing comes"
    CATALOGUE_IN_LOG = "a new catalogue counts from the moment it is published, wherever a worker is"
    NEVER_BELOW = "a load below the applied offset is adopted; a start does not wait for its last revision's offset"
    NEWEST_STAYS = "the feed may be trimmed to nothing, and in silence nobody compares offsets"
    LOAD_IS_ONE = "a load reads offset, then cells, then the offset again, and is adopted where both are equal"
    CHECKS_FIRST = (
        "the flush writes cells, then appends to the feed; that Redis refuses old ids there is its only check"
    )
    INITIALISE_FIRST = "read back, then initialise transactions"
    HIGH_WATERMARK = "read back to the last stable offset"
    FENCED_RECONCILES = "a fenced index worker stops, whatever Kafka assigns"
    FROM_UPDATES = "what was last published is read from the tables"
    STOCK_KEEPS_ORDER = "a stock keeps its time only: of equal times the later arrival counts"
    # not in the table
    META_TRAVELS = "a revision's watermark and counts are read from Redis when it is made, not taken with the cells"
    TOMBSTONES = "keys that a new definition does not publish any more are left as they are"


ON = frozenset(Rule)
