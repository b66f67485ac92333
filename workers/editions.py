"""Editions: freezing what is published of a period under a name, and finding what was frozen."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from index.fields import name as checked_name
from index.periods import Period
from stream.editions import read_editions, write_edition
from stream.messages import Edition, EditionTable, EditionValues, RankingTable
from stream.period_view import PeriodView, read_period
from workers.runner import TABLE_EVERY_S
from workers.settings import Settings

# A table that lags is published after TABLE_EVERY_S, and what lags in it besides ranks no delta tells: so the period
# is at rest when nothing of it was committed for longer than that.
REST_S = 1.5 * TABLE_EVERY_S
OPEN = "provisional"


class RestlessError(ValueError):
    """What is published of a period did not come to rest: the message says what moved or lags. Try again later."""


def at_rest(
    settings: Settings,
    system: str,
    period: str,
    timeout_s: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> PeriodView:
    """What is committed of `period`, exactly as of a revision, once its tables are what the deltas give.

    Other periods may move meanwhile. Errors: ValueError where nothing is published of it, RestlessError after
    `timeout_s`, UnreachableError, MessageError.
    """
    parsed = Period.parse(period)
    compared = (parsed.predecessor.name, parsed.year_ago.name)
    deadline, before = clock() + timeout_s, None
    while True:
        began = clock()
        view = read_period(settings.kafka, system, period, compared, settings.kafka_options)
        if view is None or not (view.updates or view.tables):
            raise ValueError(f"nothing of {system} is published for {period}")
        late = view.lagging()
        if before is not None and before.mark == view.mark and not late:
            return view
        if clock() >= deadline:
            what = f"these tables lag behind the deltas: {', '.join(late)}" if late else "revisions still move it"
            raise RestlessError(
                f"{system} {period} did not come to rest within {timeout_s:.0f} s: {what} (at revision "
                f"{view.revision.revision}); nothing is frozen, try again when less arrives, or with a longer --timeout"
            )
        before = view
        sleep(max(0.0, began + REST_S - clock()))


def freeze(
    settings: Settings,
    system: str,
    period: str,
    name: str,
    author: str,
    reason: str,
    *,
    corrects: str | None = None,
    provisional: bool = False,
    timeout_s: float = 60.0,
) -> Edition:
    """Fix what is published of `period` under `name`; returns the edition, committed.

    Errors: ValueError where the name is taken or no name, the period open (unless `provisional`) or without anything,
    or the correction has no reason or corrects what is not there; RestlessError; those of `write_edition`.
    """
    checked_name(name)
    if not author.strip():
        raise ValueError("--author must not be empty: it is what later readers have to go by")
    known = read_editions(settings.kafka, system, settings.kafka_options)
    if f"{system}/{name}" in known:
        raise ValueError(f"{system}/{name} is there already, and an edition never changes; choose another name")
    if corrects is not None:
        if f"{system}/{corrects}" not in known:
            raise ValueError(f"{system}/{corrects}, which is to be corrected, is not there; known: {_names(known)}")
        corrected = known[f"{system}/{corrects}"]
        if corrected.period != period:
            raise ValueError(f"{system}/{corrects} is of {corrected.period}; a correction of it is of the same period")
        if not reason.strip():
            raise ValueError("a correction needs a reason: --reason says what was wrong")
    view = at_rest(settings, system, period, timeout_s)
    if not provisional and any(update.status == OPEN for update in view.updates.values()):
        raise ValueError(
            f"{system} {period} is still open at revision {view.revision.revision}: its values are provisional. "
            "Wait until it closes, or freeze it as it is with --provisional"
        )
    edition = _edition(view, period, name, author, reason, corrects)
    write_edition(settings.kafka, edition, settings.kafka_options)
    return edition


def edition_of(settings: Settings, system: str, name: str) -> Edition:
    """One edition. Errors: ValueError where it is not there (it says what is), UnreachableError, MessageError."""
    known = read_editions(settings.kafka, system, settings.kafka_options)
    if f"{system}/{name}" not in known:
        raise ValueError(f"{system}/{name} is no edition; known: {_names(known)}")
    return known[f"{system}/{name}"]


def table_of(edition: Edition, ranking: str, scope: str | None) -> EditionTable:
    """One table of an edition. Errors: ValueError, which names those that it has."""
    for table in edition.tables:
        if (table.ranking, table.scope) == (ranking, scope):
            return table
    known = sorted({t.ranking + (" --scope ..." if t.scope else "") for t in edition.tables})
    within = f" within {scope}" if scope else ""
    raise ValueError(f"{edition.system}/{edition.name} has no table {ranking}{within}; there are: {', '.join(known)}")


def summary(edition: Edition) -> dict[str, Any]:
    """Everything but the tables and values, and how many there are."""
    fields: dict[str, Any] = msgspec.to_builtins(edition)
    return fields | {"tables": len(edition.tables), "values": len(edition.values.entity)}


def _edition(view: PeriodView, period: str, name: str, author: str, reason: str, corrects: str | None) -> Edition:
    revision = view.revision
    updates = [view.updates[entity] for entity in sorted(view.updates)]
    return Edition(
        system=revision.system,
        name=name,
        period=period,
        revision=revision.revision,
        definition=revision.definition,
        catalogue=revision.catalogue,
        offsets=revision.offsets,
        watermark=revision.watermark,
        author=author,
        reason=reason,
        at=datetime.now(UTC).isoformat(timespec="microseconds"),
        corrects=corrects,
        tables=[_frozen(view.tables[key]) for key in sorted(view.tables)],
        values=EditionValues(
            [u.entity for u in updates],
            [u.status for u in updates],
            [u.value for u in updates],
            [u.coverage for u in updates],
        ),
    )


def _frozen(table: RankingTable) -> EditionTable:
    return EditionTable(**{field: getattr(table, field) for field in EditionTable.__struct_fields__})


def _names(known: dict[str, Edition]) -> str:
    return ", ".join(edition.name for edition in known.values()) or "none"
