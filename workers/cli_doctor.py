"""`tidewatch doctor`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from workers.output import console, emit, told
from workers.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]


def doctor(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="leave out what is well")] = False,
    json: Json = False,
) -> None:
    """Check addresses, topics, Redis, versions, clocks and lag; say what to do. Exit code 0 where nothing fails."""
    from workers.doctor import examine
    from workers.finding import Level

    with told():
        found = asyncio.run(examine(Settings()))
        failed = [finding for finding in found if finding.level == Level.FAIL]
        if json:
            emit({"ok": not failed, "findings": [finding.to_json() for finding in found]})
        else:
            colours = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
            for finding in found:
                if quiet and finding.level == Level.OK:
                    continue
                console.print(f"[{colours[finding.level]}]{finding.level.value:4}[/] {finding.check:20}", end=" ")
                console.print(finding.what, markup=False, highlight=False)
                if finding.do:
                    console.print(f"     -> {finding.do}", markup=False, highlight=False)
            warned = sum(finding.level == Level.WARN for finding in found)
            console.print(f"{len(found)} checks, {warned} warnings, {len(failed)} failures", markup=False)
        raise typer.Exit(1 if failed else 0)
