"""Names of the Redis keys of one Kafka partition, all under one hash tag and so in one slot of a Cluster.

docs/formats.md section 3 says what each holds. Row keys (`cells:<period>:<city>`, `days:<month>:<city>`) are what
the set `rows` and the change feed name; the full key is the tag before them.
"""

from __future__ import annotations

from typing import NewType

Partition = NewType("Partition", int)
Offset = NewType("Offset", int)
Token = NewType("Token", str)

# Of everything stored below; raised when its meaning changes. Since 2, a cell may end and a level be none.
SCHEMA = 2

META, CATALOGUE, SEQ, ROWS, COUNTS, CHANGES, SIZES = "meta", "catalogue", "seq", "rows", "counts", "changes", "sizes"
SKIPPED = "skipped"  # what a person let go: there only after `skip-missing`


def tag(partition: int) -> str:
    """Prefix of every key of `partition`: the hash tag and a colon."""
    return f"{{tw:{partition}}}:"


def key(partition: int, name: str) -> str:
    """Full key of `name` (one of the constants above, or a row key) in `partition`."""
    return f"{{tw:{partition}}}:{name}"


def cells_row(period: str, city: str) -> str:
    """Row key of a city's cells in a period."""
    return f"cells:{period}:{city}"


def days_row(month: str, city: str) -> str:
    """Row key of a city's day profile in a month."""
    return f"days:{month}:{city}"
