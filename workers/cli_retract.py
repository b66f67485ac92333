"""`tidewatch retract`."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.output import console, emit, note, told
from workers.settings import Settings


def retract(
    source: Annotated[str, typer.Option(help="whose events")],
    indicator: Annotated[str | None, typer.Option(help="only of this one")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="event time (`at`): a date, or RFC 3339")] = None,
    end: Annotated[str | None, typer.Option("--to", help="event time, not included")] = None,
    effect: Annotated[str | None, typer.Option(help="show too what it would publish of this system")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be sent, send nothing")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", help="cells to print; 0: all (with --json always all)")] = 40,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")] = False,
) -> None:
    """Take back what a source sent: shows what would change, then sends events that compensate it exactly.

    Taken back is what was accepted, once each, and stands in the log when the command begins. Run it again and nothing
    is left to do. Exit code 1 where the events would be rejected.
    """
    from workers.retraction.effect import effect_on, render_effect
    from workers.retraction.send import Asked, carry_out, check_upgraded, read_and_plan
    from workers.retraction.send import begin as take_turn
    from workers.retraction.show import as_json, nothing, render

    with told():
        settings = Settings()
        # Before the reading: from here on no other retraction can slip in between.
        turn = None if dry_run else take_turn(settings)
        found = read_and_plan(settings, Asked(source, indicator, begin, end), note)
        plan = last = found.plan
        sent = 0
        published = effect_on(settings, effect, plan.cells) if effect is not None and plan.messages else None
        if not json:
            render(found, console, limit)
            if published is not None:
                render_effect(published, console, limit)
        send = bool(plan.messages) and turn is not None
        if send and plan.drops:
            check_upgraded(settings, plan)
        if send and not yes:
            if json:
                raise ValueError("--json sends nothing without --yes; or look with --dry-run")
            send = typer.confirm(f"Send {plan.compensating:,} compensating events?", err=True)
        if send and turn is not None:
            sent, last = carry_out(turn, found)
            note(f"{sent:,} events sent; the workers take them up as any others")
        if json:
            emit(as_json(found, sent) | ({} if published is None else {"effect": published}))
            if not plan.rows:
                note(nothing(found))
        raise typer.Exit(1 if last.refused or (plan.messages and not send and not dry_run) else 0)
