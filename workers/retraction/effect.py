"""What a plan would publish of a system: the cells of now on a board of the command's own, and the plan's upon them.

Nothing is written. The cells are those that Redis holds now; the plan is of the log up to where it was read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console

from index.board import Board
from index.definition import Definition
from state.keys import Partition
from workers.define import known_system, version_of
from workers.now import load_cells
from workers.output import people_table
from workers.settings import Settings

SHOWN = 20


def effect_on(settings: Settings, system: str, cells: Mapping[int, Iterable[list[str]]]) -> dict[str, Any]:
    """Values and tables that would be published anew. `cells`: partition -> rows as the feed has them, absolute.

    Blocking. Errors: as `board_now`.
    """
    control = version_of(known_system(settings, system), system, None)
    hub = asyncio.run(load_cells(settings))
    board = Board(Definition.parse(control.definition, hub.catalogue, f"{system} in force"), hub.catalogue)
    board.apply(hub.cells.everything())
    board.watermark(hub.cut().watermark_us)
    before = {(update["entity"], update["period"]): update["value"] for update in board.diff().updates}
    for partition, rows in cells.items():
        board.apply(hub.cells.apply(Partition(partition), rows, hub.catalogue.version))
    after = board.diff()
    values = [
        {
            "entity": update["entity"],
            "period": update["period"],
            "now": before.get((update["entity"], update["period"])),
            "after": update["value"],
        }
        for update in after.updates
    ]
    for key in after.removed:
        entity, _, period = key.rpartition("/")
        values.append({"entity": entity, "period": period, "now": before.get((entity, period)), "after": None})
    values = [value for value in values if value["now"] != value["after"]]
    values.sort(key=lambda value: (-_change(value["now"], value["after"]), value["period"], value["entity"]))
    tables = {
        f"{delta['ranking']}/{delta['period']}" + (f"/{delta['scope']}" if delta["scope"] else ""): sum(
            was != rank for was, rank in zip(delta["moved"]["was"], delta["moved"]["rank"], strict=True)
        )
        + sum(last - first + 1 for first, last, _ in delta["shifted"])
        for delta in after.deltas
    }
    return {"system": system, "updates": len(after.updates), "values": values, "ranks": tables}


def _change(now: float | None, after: float | None) -> float:
    """Relative; a value that comes or goes stands first."""
    return float("inf") if now is None or after is None or now == 0 else abs(after / now - 1)


def render_effect(effect: dict[str, Any], console: Console, limit: int = SHOWN) -> None:
    """The values that move most, and the sums."""
    values, ranks = effect["values"], effect["ranks"]
    table = people_table("entity", "period", "value now", "after", title=f"{effect['system']}: what would be published")
    for value in values[: limit or None]:
        table.add_row(value["entity"], value["period"], repr(value["now"]), repr(value["after"]))
    console.print(table)
    more = f" (the {limit} that move most)" if limit and len(values) > limit else ""
    moved = sum(ranks.values())
    console.print(f"{len(values):,} values change{more}; {moved:,} ranks in {len(ranks):,} tables", highlight=False)
