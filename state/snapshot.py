"""The whole state of one partition as it stood at one instant: what acquire and load return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from state import migrate
from state.errors import CorruptStateError, SchemaError
from state.keys import SCHEMA, Offset, Partition, key


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State of one partition at one instant; text as Redis holds it, so that a load costs no parsing that is not used.

    `rows`: row key -> [field, value, field, value, ...]. `watermark_us` is None before the first accepted event;
    `catalogue` is None before the first catalogue record was flushed. `lineage` names the rebuild or restore that wrote
    this state in place of another (`state.replace`), None if there was none; `schema` is the version that is stored,
    the rest is as our version has it.
    """

    partition: Partition
    offset: Offset
    watermark_us: int | None
    catalogue_version: int | None
    catalogue: bytes | None
    windows: dict[str, str]
    counts: dict[str, int]
    rows: dict[str, list[str]]
    lineage: str | None = None
    schema: int = SCHEMA

    def changed_rows(self) -> Iterator[list[str]]:
        """The rows in the form of a feed entry: [row, field, value, field, value, ...]."""
        for row, fields in self.rows.items():
            yield [row, *fields]


def _pairs(flat: list[Any]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def parse(partition: Partition, reply: list[Any]) -> Snapshot:
    """Snapshot from the scripts' reply `['ok', [meta, catalogue, seq, counts, rows]]`.

    An older one comes as our version has it. Errors: SchemaError where its version is not known; CorruptStateError
    where it cannot be read.
    """
    if reply[0] == "schema":
        raise SchemaError(partition, str(reply[1]), SCHEMA)
    meta_flat, catalogue, seq, counts, rows = reply[1]
    meta = _pairs(meta_flat)
    version = migrate.version_of(partition, meta.get("schema")) if meta else SCHEMA
    try:
        snapshot = Snapshot(
            partition=partition,
            offset=Offset(int(meta.get("offset", 0))),
            watermark_us=int(meta["watermark"]) if "watermark" in meta else None,
            catalogue_version=int(meta["catalogue"]) if "catalogue" in meta else None,
            catalogue=catalogue.encode() if catalogue else None,
            windows=_pairs(seq),
            counts={name: int(n) for name, n in _pairs(counts).items()},
            rows=dict(zip(rows[::2], rows[1::2], strict=True)),
            lineage=meta.get("lineage"),
            schema=version,
        )
    except ValueError as error:
        raise CorruptStateError(key(partition, "meta"), f"{meta!r} ({error})") from None
    return migrate.upgraded(snapshot)
