"""A revision as records: what a board's diff becomes on the topics (docs/formats.md section 6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import orjson

from index.board import Board
from index.catalogue import Catalogue
from index.definition import Definition
from index.diff import Diff, TableKey
from index.measures.table import MEASURES, Asks
from stream.messages import SCHEMA, RankingTable, Revision, encode
from stream.publisher import Record
from stream.topics import DELTAS, RANKINGS, REVISIONS, UPDATES
from workers.hub import Cut

Source = tuple[Definition, Catalogue]  # what a board is made from

# What of a definition decides which rows its tables have, and what they measure of given values.
_SAME = (
    "rankings", "groups", "nation", "grains", "grades", "mergers", "mean_yoy_from", "mean_yoy_step",
)  # fmt: skip

# Keys of `revisions` are a ring: this many of the newest are kept.
RING = 1000


class RevisionWriter:
    """Makes the records of one system's revisions; knows what is the same in all of them."""

    def __init__(self, system: str, definition: int) -> None:
        self.system, self.definition = system, definition

    def records(
        self, diff: Diff, tables: Iterable[dict[str, Any]], gone: Iterable[str], number: int, reason: str, cut: Cut
    ) -> list[Record]:
        """Every record of revision `number`.

        `tables`: whole tables to publish (as `Board.table` gives them); `gone`: table paths to remove.
        """
        system = self.system
        head = orjson.dumps({"schema": SCHEMA, "system": system, "revision": number})[:-1] + b","
        update_head = (
            orjson.dumps({"schema": SCHEMA, "system": system, "revision": number, "definition": self.definition})[:-1]
            + b","
        )
        dumps = orjson.dumps
        records = [
            Record(UPDATES, f"{system}/{u['entity']}/{u['period']}", update_head + dumps(u)[1:]) for u in diff.updates
        ]
        records += (Record(UPDATES, f"{system}/{key}", None) for key in diff.removed)
        records += (Record(DELTAS, f"{system}/{_path(d)}", head + dumps(d)[1:]) for d in diff.deltas)
        written = 0
        for table in tables:
            records.append(Record(RANKINGS, f"{system}/{_path(table)}", head + dumps(table)[1:]))
            written += 1
        records += (Record(RANKINGS, f"{system}/{path}", None) for path in gone)
        revision = Revision(
            system=system,
            revision=number,
            definition=self.definition,
            catalogue=cut.catalogue,
            reason=reason,
            offsets=cut.offsets,
            watermark=cut.watermark_us,
            counts=cut.counts,
            updates=len(diff.updates),
            deltas=len(diff.deltas),
            tables=written,
        )
        records.append(Record(REVISIONS, f"{system}/{number % RING}", encode(revision)))
        return records


def _path(message: dict[str, Any]) -> str:
    scope = message["scope"]
    path = f"{message['ranking']}/{message['period']}"
    return path if scope is None else f"{path}/{scope}"


def same_table(published: RankingTable | None, table: dict[str, Any]) -> bool:
    """Whether a table is what was published, whatever the revision."""
    if published is None:
        return False
    before = msgspec.to_builtins(published)
    return all(before[name] == value for name, value in table.items())


def empty(table: dict[str, Any]) -> bool:
    """Whether a table has nobody in it and nobody left out."""
    return not table["rows"]["entity"] and not table["left_out"]["entity"]


def stale_tables(board: Board, published: dict[str, RankingTable], system: str) -> tuple[list[TableKey], list[str]]:
    """What of the tables on the topic is not as the board has it: (keys to publish, paths to remove).

    Tables lag behind the values by design, so after a start all of them are compared once.
    """
    keys = {key.path: key for key in board.table_keys()}
    stale = [key for path, key in keys.items() if not same_table(published.get(f"{system}/{path}"), board.table(key))]
    prefix = len(system) + 1
    gone = [path[prefix:] for path in published if path[prefix:] not in keys]
    return stale, gone


def same_tables(old: Source, new: Source) -> bool:
    """Whether both make the same tables of the same rows: then the deltas go on from what the older one published."""
    same_tree = old[0].tree == new[0].tree or not any(
        Asks.TREE in MEASURES[ranking.measure].asks for ranking in new[0].rankings
    )
    return old[1].digest == new[1].digest and same_tree and all(getattr(old[0], n) == getattr(new[0], n) for n in _SAME)


def anew(board: Board, gone: Iterable[str]) -> list[dict[str, Any]]:
    """A first delta of every table, and an empty one of those that are `gone` (paths).

    For a revision from which on tables may list others than before, or by another measure: the values published do not
    tell from which rank a row comes.
    """
    deltas = []
    for key in board.table_keys():
        rows = board.table(key)["rows"]
        deltas.append(_first_delta(*key, rows["entity"], rows["rank"], rows["value"]))
    for path in gone:
        ranking, period, *scope = path.split("/")
        deltas.append(_first_delta(ranking, period, scope[0] if scope else None, [], [], []))
    return deltas


def _first_delta(
    ranking: str, period: str, scope: str | None, entity: list[str], rank: list[int], value: list[float]
) -> dict[str, Any]:
    return {
        "ranking": ranking,
        "period": period,
        "scope": scope,
        "size": len(entity),
        "moved": {"entity": entity, "was": [None] * len(entity), "rank": rank, "value": value},
        "shifted": [],
    }
