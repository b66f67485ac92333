"""`tidewatch skip-missing`."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from workers.output import emit, note, told
from workers.settings import Settings


def skip_missing(
    partition: Annotated[int, typer.Option(min=0, help="of indicator-events")],
    to: Annotated[int, typer.Option(min=0, help="the first offset that the log holds, as the worker's message says")],
    author: Annotated[str, typer.Option(help="who decides")] = "",
    reason: Annotated[str, typer.Option(help="why")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")] = False,
) -> None:
    """Accept a loss: go on behind events that the log no longer holds, and write down for ever that they are missing.

    Sums of that partition are without them from here on, and `verify` cannot recompute it. Try a backup first.
    """
    from workers.skip_missing import skip_missing as skip

    def agree(lost: str) -> bool:
        note(lost)
        return yes or typer.confirm("Skip them?", err=True)

    with told():
        result = skip(Settings(), partition, to, author or getpass.getuser(), reason or "no reason given", agree)
        if json:
            emit(result)
        else:
            note(f"partition {partition} goes on at {to}; {result['missing']} offsets are skipped. Start the workers.")
