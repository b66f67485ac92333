"""The live view in the terminal: a ranking that moves, with what the pipeline is doing above it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from rich.console import Group
from rich.live import Live
from rich.text import Text

from index.catalogue import Catalogue
from index.periods import Grain, Period
from workers.follow import Follower
from workers.output import PlainTable, console
from workers.settings import Settings

FRAMES_A_SECOND = 4


def percent(fraction: float | None) -> str:
    """A growth for people: +1.2 %."""
    return "" if fraction is None else f"{fraction * 100:+.1f} %"


def arrow(change: int | None) -> Text:
    """A rank change for people: positive is a rise."""
    if change is None:
        return Text("new", style="cyan")
    if change == 0:
        return Text("=", style="dim")
    return Text(f"▲{change}", style="green") if change > 0 else Text(f"▼{-change}", style="red")


def latest(periods: list[str], grain: Grain = Grain.QUARTER) -> str | None:
    """The last period of `grain` among `periods`; of any grain where there is none."""
    parsed = [Period.parse(name) for name in periods]
    chosen = [p for p in parsed if p.grain == grain] or parsed
    return max(chosen).name if chosen else None


def frame(
    follower: Follower, catalogue: Catalogue, period: str | None, rows: int, said: Callable[[], str]
) -> Group | Text:
    """One picture of the ranking as it is now."""
    with follower.lock:
        name = period or latest(list(follower.tables))
        table = follower.tables.get(name) if name else None
        revision, behind, problem = follower.revision, follower.behind, follower.problem
        updates = {e: follower.growth.get((e, name or "")) for e in table.rows.entity[:rows]} if table else {}
    if problem:
        return Text(f"cannot follow: {problem}", style="red")
    if table is None or revision is None:
        return Text(f"waiting for the first revision of {follower.system} ... {said()}")
    day = "-"
    if revision.watermark is not None:
        day = str((datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=revision.watermark)).date())
    head = Text.assemble(
        (f"{follower.system} {follower.ranking} {name}", "bold"),
        f"   data to {day}   revision {revision.revision}   {follower.rate():,.0f} events/s published   lag {behind:,}"
        f"\n{revision.counts.accepted:,} accepted, {revision.counts.duplicate:,} repeated, "
        f"{sum(revision.counts.rejected.values()):,} rejected   {said()}",
    )
    grid = PlainTable(
        "rank", "change", "city", "value", "growth to date", "over the period before", "year over year", ""
    )
    for column in (0, 1, 3, 4, 5, 6):
        grid.columns[column].justify = "right"
    columns = (table.rows.entity[:rows], table.rows.rank, table.rows.change, table.rows.value)
    for entity, rank, change, value in zip(*columns, strict=False):
        update = updates.get(entity)
        growth = update.growth if update else {}
        grid.add_row(
            str(rank),
            arrow(change),
            f"{catalogue.name_of(entity)} {catalogue.entity_of[entity].name_en}",
            f"{value:,.4f}",
            percent(growth.get("to_date")),
            percent(growth.get("pop")),
            percent(growth.get("yoy")),
            update.status if update else "",
        )
    return Group(head, grid)


def show_live(
    follower: Follower,
    catalogue: Catalogue,
    period: str | None,
    rows: int,
    *,
    said: Callable[[], str] = lambda: "",
    check: Callable[[], None] = lambda: None,
) -> None:
    """Draw until interrupted. `said` adds to the head; `check` may raise to end the view."""
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            check()
            live.update(frame(follower, catalogue, period, rows, said), refresh=True)
            time.sleep(1 / FRAMES_A_SECOND)


def watch_ranking(settings: Settings, system: str, ranking: str, period: str | None, rows: int) -> None:
    """`tidewatch top`. Errors: CatalogueError; Ctrl-C ends it."""
    follower = Follower(settings.kafka, system, ranking, settings.kafka_options)
    follower.start()
    try:
        show_live(follower, Catalogue.load(settings.catalogue), period, rows)
    finally:
        follower.stop()
