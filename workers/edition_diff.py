"""What differs between an edition and what is published now, or another edition: ranks and values, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stream.messages import Edition
from stream.period_view import PeriodView, Ranked, read_period
from workers.editions import edition_of
from workers.settings import Settings

TableName = tuple[str, str | None]  # ranking, scope
Values = dict[str, float | None]


@dataclass(slots=True)
class Side:
    """One of the two that are compared; `edition` None: what is published now."""

    edition: str | None
    revision: int
    definition: int
    catalogue: int
    tables: dict[TableName, Ranked]
    values: Values

    def head(self) -> dict[str, Any]:
        """Where it comes from."""
        return {
            "edition": self.edition,
            "revision": self.revision,
            "definition": self.definition,
            "catalogue": self.catalogue,
        }


def frozen_side(edition: Edition) -> Side:
    """An edition."""
    tables: dict[TableName, Ranked] = {
        (table.ranking, table.scope): {
            entity: (rank, value)
            for entity, rank, value in zip(table.rows.entity, table.rows.rank, table.rows.value, strict=True)
        }
        for table in edition.tables
    }
    values = dict(zip(edition.values.entity, edition.values.value, strict=True))
    return Side(edition.name, edition.revision, edition.definition, edition.catalogue, tables, values)


def published_side(view: PeriodView) -> Side:
    """What is committed: ranks as the deltas give them, so tables that lag do not show."""
    tables: dict[TableName, Ranked] = {}
    for key in view.tables.keys() | view.deltas.keys():
        _, ranking, _, *scope = key.split("/")
        rows = view.rows(key)
        if rows or key in view.tables:
            tables[ranking, scope[0] if scope else None] = rows
    revision = view.revision
    values = {entity: update.value for entity, update in view.updates.items()}
    return Side(None, revision.revision, revision.definition, revision.catalogue, tables, values)


def compare(before: Side, after: Side) -> dict[str, Any]:
    """Every row that moved (rank or value, to the bit), entered or left; `differences`: how many rows that are."""
    tables = []
    for name in sorted(before.tables.keys() | after.tables.keys(), key=lambda name: (name[0], name[1] or "")):
        rows = _rows(before.tables.get(name, {}), after.tables.get(name, {}))
        if any(rows.values()) or (name in before.tables) != (name in after.tables):
            there = {"was_there": name in before.tables, "is_there": name in after.tables}
            tables.append({"ranking": name[0], "scope": name[1], **there, **rows})
    values = [
        {"entity": entity, "was": before.values.get(entity), "value": after.values.get(entity)}
        for entity in sorted(before.values.keys() | after.values.keys())
        if before.values.get(entity) != after.values.get(entity)
    ]
    return {
        "from": before.head(),
        "to": after.head(),
        "differences": len(values) + sum(len(t["moved"]) + len(t["entered"]) + len(t["left"]) for t in tables),
        "tables": tables,
        "values": values,
    }


def difference(settings: Settings, system: str, name: str, against: str | None) -> dict[str, Any]:
    """What `compare` says of an edition against what is published now, or against another edition of its period.

    Errors: ValueError where an edition is not there, or the periods differ; UnreachableError, MessageError.
    """
    edition = edition_of(settings, system, name)
    if against is not None:
        other = edition_of(settings, system, against)
        if other.period != edition.period:
            raise ValueError(f"{name} is of {edition.period}, {against} of {other.period}: only one period is compared")
        after = frozen_side(other)
    else:
        view = read_period(settings.kafka, system, edition.period, (), settings.kafka_options)
        if view is None:
            raise ValueError(f"{system} has published nothing; its topics are not those that the edition came from")
        after = published_side(view)
    return {"system": system, "period": edition.period, **compare(frozen_side(edition), after)}


def _rows(
    before: Mapping[str, tuple[int, float | None]], after: Mapping[str, tuple[int, float | None]]
) -> dict[str, Any]:
    def single(rows: Mapping[str, tuple[int, float | None]], other: Mapping[str, Any]) -> list[dict[str, Any]]:
        only = sorted((rank, entity, value) for entity, (rank, value) in rows.items() if entity not in other)
        return [{"entity": entity, "rank": rank, "value": value} for rank, entity, value in only]

    moved = [
        {"entity": entity, "was_rank": before[entity][0], "rank": rank, "was_value": before[entity][1], "value": value}
        for entity, (rank, value) in sorted(after.items(), key=lambda row: (row[1][0], row[0]))
        if entity in before and before[entity] != (rank, value)
    ]
    return {"moved": moved, "entered": single(after, before), "left": single(before, after)}
