"""`tidewatch whatif`: a ranking under other weights, beside the present one. Nothing is published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from index.board import Board
from index.diff import TableKey
from workers.live import arrow, latest
from workers.now import Now, board_now
from workers.output import console, emit, people_table
from workers.reweight import reweighted
from workers.settings import Settings

Rows = dict[str, tuple[int, float]]  # entity -> rank, value


def show_whatif(
    settings: Settings,
    system: str,
    weights: Mapping[str, float],
    ranking: str | None,
    period: str | None,
    scope: str | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """Print one table under other weights. `ranking`: default the first declared; `period`: default the latest with
    data. Errors: ValueError (which names the node and those that may be meant, or the tables), those of `board_now`."""
    now = board_now(settings, system, lambda text: [text, reweighted(text, weights)])
    key = _key(now.boards[0], system, ranking, period, scope)
    result = compared(now, key, weights)
    if as_json:
        result["rows"] = result["rows"][: limit or None]
        emit(result)
        return
    said = ", ".join(f"{node} = {weight!r}" for node, weight in weights.items())
    title = f"{system}/{key.path} with {said}"
    grid = people_table("rank", "rank now", "change", "code", "name", "value", "value now", title=title)
    for row in result["rows"][: limit or None]:
        name = now.catalogue.name_of(row["entity"]) if row["entity"] in now.catalogue.entity_of else ""
        ranks = (_text(row["rank"]), _text(row["rank_now"]))
        values = (_text(row["value"]), _text(row["value_now"]))
        grid.add_row(*ranks, arrow(row["change"]), row["entity"], name, *values)
    console.print(grid)
    console.print(f"{result['moved']} of {len(result['rows'])} rows change their rank", highlight=False)
    console.print(now.said(), markup=False, highlight=False)


def compared(now: Now, key: TableKey, weights: Mapping[str, float]) -> dict[str, Any]:
    """The table `key` of the second board beside that of the first, by rank of the second (who has none comes last).

    `change` = rank now - rank under the weights: positive, a rise.
    """
    present, other = (_rows(board, key) for board in now.boards)
    rows = []
    order = [*other, *(entity for entity in present if entity not in other)]
    for entity in order:
        rank, value = other.get(entity, (None, None))
        rank_now, value_now = present.get(entity, (None, None))
        change = None if rank is None or rank_now is None else rank_now - rank
        rows.append(
            {
                "entity": entity,
                "rank": rank,
                "rank_now": rank_now,
                "change": change,
                "value": value,
                "value_now": value_now,
            }
        )
    tree = now.boards[1].system.definition.tree
    return {
        "system": now.control.system,
        "ranking": key.ranking,
        "period": key.period,
        "scope": key.scope,
        "weights": dict(weights),
        "all_weights": {
            node.name: dict(zip((tree.names[child] for child in node.children), node.weights, strict=True))
            for node in tree.nodes
            if node.children and node.aggregate != "sum"
        },
        "moved": sum(1 for row in rows if row["rank"] != row["rank_now"]),
        "rows": rows,
        **now.where(),
    }


def _key(board: Board, system: str, ranking: str | None, period: str | None, scope: str | None) -> TableKey:
    keys = board.table_keys()
    names = [each.name for each in board.system.definition.rankings]
    if not names:
        raise ValueError(f"{system} declares no ranking; add a [[ranking]] to its definition")
    name = ranking or names[0]
    if name not in names:
        raise ValueError(f"{system} has no ranking {name}; it has {', '.join(names)}")
    scopes = {key.scope for key in keys if key.ranking == name}
    if scope not in scopes and scopes:
        known = ", ".join(sorted(s for s in scopes if s is not None)) or "none"
        raise ValueError(f"{name} has no table of the scope {scope}; give --scope, one of: {known}")
    periods = [key.period for key in keys if key.ranking == name and key.scope == scope]
    chosen = period or latest(periods)
    if chosen not in periods:
        raise ValueError(f"{name} has no table of {chosen}; it has {', '.join(dict.fromkeys(periods)) or 'none'}")
    return TableKey(name, chosen, scope)


def _rows(board: Board, key: TableKey) -> Rows:
    rows = board.table(key)["rows"]
    return {e: (r, v) for e, r, v in zip(rows["entity"], rows["rank"], rows["value"], strict=True)}


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value!r}"
