"""`tidewatch dlq`: look at dead letters, repair them, and send them again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workers.masked import printable
from workers.output import console, emit, note, people_table, told
from workers.settings import Settings

dlq = typer.Typer(help="Dead letters: rejected events with their bytes, reason and position.", no_args_is_help=True)


def _known(reason: str | None) -> str | None:
    from stream.reasons import Reason as Reasons

    known = sorted(each.code for each in Reasons)
    if reason is not None and reason not in known:
        raise typer.BadParameter(f"{reason} is no reason; they are {', '.join(known)}")
    return reason


Reason = Annotated[str | None, typer.Option("--reason", "-r", callback=_known, help="only letters with this reason")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]


@dlq.command("list")
def list_letters(
    reason: Reason = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="letters to print; 0: all")] = 20,
    json: Json = False,
) -> None:
    """Count dead letters by reason, and list the latest."""
    from workers.dead_letters import Filter, read_letters

    with told():
        letters = sorted(read_letters(Settings(), Filter(reason=reason)), key=lambda s: s.letter.timestamp_ms)
        counts: dict[str, int] = {}
        for letter in letters:
            counts[letter.letter.reason] = counts.get(letter.letter.reason, 0) + 1
        shown = letters[-limit:] if limit else letters
        if json:
            emit(
                {
                    "letters": len(letters),
                    "reasons": dict(sorted(counts.items())),
                    "latest": [s.to_json() for s in shown],
                }
            )
            return
        table = people_table("position", "reason", "detail", "bytes", title=f"{len(letters):,} letters {counts}")
        for letter in shown:
            table.add_row(letter.letter.key, letter.letter.reason, letter.letter.detail, str(len(letter.letter.raw)))
        console.print(table)


@dlq.command()
def show(
    position: Annotated[str, typer.Argument(help="topic/partition/offset/index, as `list` prints it")],
    json: Json = False,
) -> None:
    """One letter whole: why, where it came from, and its original bytes."""
    from workers.dead_letters import Filter, read_letters

    with told():
        for stored in read_letters(Settings(), Filter(position=position)):
            if json:
                emit(stored.to_json())
            else:
                raw = stored.letter.raw.decode("utf-8", "backslashreplace")
                for text in (f"{stored.letter.reason}: {stored.letter.detail}", raw):  # whole: to be copied
                    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
            return
        raise ValueError(f"no dead letter at {position}; `tidewatch dlq list` prints the positions")


@dlq.command("replay")
def replay_letters(
    reason: Reason = None,
    position: Annotated[str | None, typer.Option(help="only this one: topic/partition/offset/index")] = None,
    set_field: Annotated[
        list[str] | None, typer.Option("--set", help="repair: field=value (JSON, or a plain string); repeatable")
    ] = None,
    repair: Annotated[
        Path | None, typer.Option(help="a program that gets a letter's bytes and prints the repaired event")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be sent")] = False,
    json: Json = False,
) -> None:
    """Send letters again, repaired, under an identity of their own: source dlq/<partition>/<block>, seq = offset in
    the dead-letter topic, 4,096 offsets a block.

    Replaying the same letter twice is harmless: the second is a duplicate, also where the first was rejected again and
    is a letter itself by now.
    """
    from workers.dead_letters import Filter, read_letters, repaired, replay

    with told():
        chosen = list(read_letters(Settings(), Filter(reason=reason, position=position)))
        events, unreadable = repaired(chosen, set_field or [], repair)
        if dry_run:
            for event in events:
                console.print(printable(event.value.decode()), markup=False, highlight=False, soft_wrap=True)
        else:
            replay(Settings(), events)
        result = {"letters": len(chosen), "sent": 0 if dry_run else len(events), "unreadable": unreadable}
        if json:
            emit(result)
        else:
            note(f"{result}")
