"""`tidewatch explain`: why a value moved, from the cells as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.table import Table

from index.catalogue import Catalogue
from index.explain import Against, Explanation, explain
from index.explain_parts import AVAILABILITY, CITY, MEMBERSHIP, OTHERS, REFERENCE, ROUNDING, TOGETHER, Part, first
from index.periods import Period
from index.system import System
from workers.now import Now, board_now
from workers.output import console, emit, people_table
from workers.settings import Settings

_WHAT = {
    REFERENCE: "what {} is measured against",
    AVAILABILITY: "data below {} came or went",
    MEMBERSHIP: "members came or went",
    TOGETHER: "{}, not told apart by city",
    OTHERS: "others",
    ROUNDING: "rounding",
}


def show_explanation(
    settings: Settings, system: str, entity: str, period: str, against: Against, limit: int, *, as_json: bool
) -> None:
    """Print one. Errors: ValueError (no such system, entity, period), and those of `board_now`."""
    now = board_now(settings, system)
    found = explain(now.boards[0].system, entity_of(now.boards[0].system, entity), Period.parse(period), against)
    if as_json:
        emit(as_object(found, now, limit))
        return
    _print(found, now, limit)


def entity_of(system: System, name: str) -> str:
    """The code of an entity by its code, or by a name (Chinese or English) that only one has.

    Errors: ValueError, which names the codes that a name may mean.
    """
    rows = system.layout.row_of
    if name in rows:
        return name
    entities = [e for e in system.catalogue.entities if e.code in rows]
    codes = [e.code for e in entities if name in (e.name, e.name_en)]
    codes = codes or [e.code for e in entities if name.casefold() in (e.name.casefold(), e.name_en.casefold())]
    if len(codes) == 1:
        return codes[0]
    if codes:
        raise ValueError(f"{name} may be {', '.join(codes)}; give the code")
    for merger in system.catalogue.mergers:
        merged = system.catalogue.entity_of[merger.code]
        if name in (merged.code, merged.name, merged.name_en):
            raise ValueError(f"{name} is part of {merger.into} since {merger.month}; ask for that")
    like = name.casefold()
    near = [f"{e.code} ({e.name_en or e.name})" for e in entities if like in f"{e.name} {e.name_en}".casefold()]
    hint = f"; like it: {', '.join(near[:10])}" if near else "; `tidewatch catalogue show` tells what is known"
    raise ValueError(f"{name} is neither code nor name of an entity of {system.definition.system}{hint}")


def as_object(found: Explanation, now: Now, limit: int) -> dict[str, Any]:
    """The explanation as JSON has it, each list shortened to `limit` parts and the `others` (0: all)."""
    made: dict[str, Any] = msgspec.to_builtins(found)
    for name in ("indicators", "cities"):
        parts: Sequence[Part] = getattr(found, name)
        made[name] = msgspec.to_builtins(first(parts, limit, found.move or 0.0))
    if limit:  # too many for a person, and no sum of some of them means anything
        del made["cells"]
    return {**made, **now.where()}


def _print(found: Explanation, now: Now, limit: int) -> None:
    catalogue, line = now.catalogue, console.print
    days = "" if found.days is None else f", the first {found.days} days of each"
    title = f"{found.system}: {found.entity} {catalogue.name_of(found.entity)}, {found.other} to {found.period}{days}"
    line(title, markup=False, highlight=False)
    line(now.said(), markup=False, highlight=False)
    growth = found.growth_reason if found.growth is None else f"{found.growth:+.2%}"
    values = f"before {found.before!r}, after {found.after!r}"
    if found.reason is not None:
        line(values, highlight=False)
        why = "" if found.why is None else f" ({found.why})"
        line(f"no split: {found.reason}{why}", markup=False, highlight=False)
        return
    line(f"{values}, move {found.move!r}, growth {growth}", highlight=False)
    assert found.move is not None
    console.print(_grid("by indicator", first(found.indicators, limit, found.move), found, catalogue))
    if found.cities:
        console.print(_grid("by city", first(found.cities, limit, found.move), found, catalogue))


def _grid(title: str, parts: Sequence[Part], found: Explanation, catalogue: Catalogue) -> Table:
    """Columns that would be empty are left out."""
    amounts, notes = any(part.amount for part in parts), any(part.note for part in parts if part.cause != OTHERS)
    grid = people_table("part", "move", "of the move", "before", "after", title=title)
    for name in ("amount before", "amount after") if amounts else ():
        grid.add_column(name, justify="right")
    if notes:
        grid.add_column("note")
    for part in parts:
        row = [_named(part, catalogue), f"{part.move!r}", "" if not found.move else f"{part.move / found.move:+.1%}"]
        row += ["" if v is None else f"{v:.6g}" for v in (part.before, part.after)]
        if amounts:
            held = part.amount
            both = () if held is None else (held.before, held.after)
            row += [_units(a, held.decimals, held.unit) for a in both if held is not None] or ["", ""]
        if notes:
            row.append(part.note if part.cause != OTHERS else "")
        grid.add_row(*row)
    return grid


def _named(part: Part, catalogue: Catalogue) -> str:
    if part.cause == OTHERS:
        return f"others ({part.note})"
    if part.cause == CITY or (part.cause == MEMBERSHIP and part.name):
        return f"{part.name} {catalogue.name_of(part.name)}"
    return _WHAT.get(part.cause, "{}").format(part.name)


def _units(amount: int | None, decimals: int, unit: str) -> str:
    """The exact amount, as a decimal number."""
    if amount is None:
        return "missing"
    whole, rest = divmod(abs(amount), 10**decimals)
    digits = f"{whole:,}" + (f".{rest:0{decimals}d}" if decimals else "")
    return f"{'-' if amount < 0 else ''}{digits} {unit}".rstrip()
