"""`tidewatch edition`: frozen statements: make one, read it, compare it with what is said now."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from workers.output import console, emit, people_table, told
from workers.settings import Settings

edition = typer.Typer(help="Editions: a period's tables and values, frozen under a name.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]
System = Annotated[str, typer.Argument(help="an index system, such as dti-2023")]
Name = Annotated[str, typer.Argument(help="an edition of it, as `list` prints it")]
Limit = Annotated[int, typer.Option("--limit", "-n", help="rows of each table; 0: all (with --json always all)")]


@edition.command("freeze")
def freeze_edition(
    system: System,
    period: Annotated[str, typer.Option("--period", "-p", help="2023, 2022H1, 2023Q1 or 2020-05")],
    name: Annotated[str, typer.Option("--name", help="what it is called from now on")],
    author: Annotated[str, typer.Option("--author", "-a", help="who issues it")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="why; needed for a correction")] = "",
    corrects: Annotated[str | None, typer.Option(help="the edition that this one corrects")] = None,
    provisional: Annotated[bool, typer.Option("--provisional", help="also a period that is still open")] = False,
    timeout: Annotated[float, typer.Option(help="seconds until the tables must have come to rest")] = 60.0,
    json: Json = False,
) -> None:
    """Fix a period's committed tables and values under a name, for ever.

    A name that is there is never overwritten: a correction is a new edition, with `--corrects` and a reason.
    """
    from workers.editions import freeze, summary

    with told():
        made = freeze(
            Settings(),
            system,
            period,
            name,
            author,
            reason,
            corrects=corrects,
            provisional=provisional,
            timeout_s=timeout,
        )
        if json:
            emit(summary(made))
        else:
            _say(
                f"{system}/{name} holds {period} as of revision {made.revision} (definition {made.definition}): "
                f"{len(made.tables)} tables, values of {len(made.values.entity)} entities"
            )


@edition.command("list")
def list_editions(
    system: Annotated[str | None, typer.Argument(help="default: all systems")] = None, json: Json = False
) -> None:
    """List the editions, oldest first."""
    from stream.editions import read_editions
    from workers.editions import summary

    with told():
        settings = Settings()
        found = read_editions(settings.kafka, system, settings.kafka_options).values()
        if json:
            emit({"system": system, "editions": [summary(each) for each in found]})
            return
        grid = people_table("system", "name", "period", "revision", "definition", "author", "at", "corrects", "reason")
        for each in found:
            numbers = (each.period, str(each.revision), str(each.definition))
            grid.add_row(each.system, each.name, *numbers, each.author, each.at, each.corrects or "", each.reason)
        console.print(grid)


@edition.command("show")
def show_edition(
    system: System,
    name: Name,
    ranking: Annotated[str | None, typer.Option(help="one of its tables; without it: what it holds")] = None,
    scope: Annotated[str | None, typer.Option("--scope", "-s", help="a group, such as province:330000")] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """Print an edition: what it is and which tables it has, or one table; with --json and no ranking: all of it."""
    import msgspec

    from workers.editions import edition_of, summary, table_of
    from workers.live import arrow

    with told():
        found = edition_of(Settings(), system, name)
        table = None if ranking is None else table_of(found, ranking, scope)
        if json:
            emit(msgspec.to_builtins(found if table is None else table))
            return
        if table is None:
            for key, value in summary(found).items():
                _say(f"{key}: {value}")
            for each in found.tables:
                _say(f"  {each.ranking}{f' --scope {each.scope}' if each.scope else ''}: {len(each.rows.entity)} rows")
            return
        title = f"{system}/{name} {table.ranking} {found.period} {table.scope or ''}, revision {found.revision}"
        grid = people_table("rank", "change", "code", table.measure, title=title)
        rows = table.rows
        for entity, rank, change, value in list(zip(rows.entity, rows.rank, rows.change, rows.value, strict=True))[
            : limit or None
        ]:
            grid.add_row(str(rank), arrow(change), entity, f"{value!r}")
        console.print(grid)
        for entity, why in list(zip(table.left_out.entity, table.left_out.reason, strict=True))[: limit or None]:
            _say(f"left out: {entity}: {why}")


@edition.command("diff")
def diff_edition(
    system: System,
    name: Name,
    against: Annotated[str | None, typer.Option(help="another edition; default: what is published now")] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """Say what has moved since an edition: ranks, values, who entered and left; exit 1 on a difference, as `verify`."""
    from workers.edition_diff import difference

    with told():
        found = difference(Settings(), system, name, against)
        if json:
            emit(found)
        else:
            _render(found, limit)
        raise typer.Exit(1 if found["differences"] or found["tables"] else 0)


def _render(found: dict[str, Any], limit: int) -> None:
    def side(head: dict[str, Any]) -> str:
        return f"{head['edition'] or 'now'} (revision {head['revision']}, definition {head['definition']})"

    for table in found["tables"]:
        rows: list[tuple[str, ...]] = [
            (row["entity"], f"{row['was_rank']} -> {row['rank']}", f"{row['was_value']!r} -> {row['value']!r}")
            for row in table["moved"]
        ]
        rows += [(row["entity"], f"entered at {row['rank']}", repr(row["value"])) for row in table["entered"]]
        rows += [(row["entity"], f"left, was {row['rank']}", repr(row["value"])) for row in table["left"]]
        within = f" within {table['scope']}" if table["scope"] else ""
        there = "" if table["is_there"] else " (is no more)"
        grid = people_table(
            "code", "rank", "value", title=f"{table['ranking']}{within}{there}: {len(rows)} rows differ"
        )
        for row in rows[: limit or None]:
            grid.add_row(*row)
        console.print(grid)
    _say(
        f"{found['system']} {found['period']}: {found['differences']} differences from {side(found['from'])} "
        f"to {side(found['to'])}: {len(found['tables'])} tables, {len(found['values'])} values"
    )


def _say(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
