"""What `tidewatch feed` does: play a scenario with a progress bar, or send a file and count what became of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from index.catalogue import Catalogue
from state.keys import SEQ, key
from stream.errors import UnreachableError
from stream.tail import high_watermarks
from stream.topics import EVENTS, partitions_of_topic
from workers.catalogue_in_force import catalogue_in_redis
from workers.feed import Outbox, Sent, play
from workers.feed_csv import check, messages, refuse_numbers, to_send
from workers.feed_file import passed_ends, send_file, send_lines
from workers.output import note, notes
from workers.redis_client import make_redis
from workers.scenario import Play, days_of, iter_batches, load
from workers.settings import Settings

BAD_SHOWN = 50


def play_scenario(settings: Settings, scenario: str, chosen: Play, speed: float) -> Sent:
    """Play with a bar. Errors: as `feed.play`."""
    made = load(Catalogue.load(settings.catalogue), scenario)
    outbox, stop = Outbox(settings.kafka, settings.kafka_options), threading.Event()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn())
    with Progress(*columns, console=notes) as progress:
        bar = progress.add_task("feed", total=chosen.days or days_of(made), said="")

        def show(sent: Sent) -> None:
            said = f"{sent.day} {sent.events:,} events, {sent.events / max(sent.seconds, 1e-3):,.0f}/s"
            progress.update(bar, completed=sent.days, said=said)

        try:
            return play(
                iter_batches(made, chosen),
                outbox,
                days_per_second=speed,
                progress=show,
                stop=stop,
            )
        finally:
            outbox.close()


def send_and_count(settings: Settings, file: Path, wait_s: float) -> dict[str, Any]:
    """Send `file` (`-`: standard input) and report. Errors: as `feed_file.send_file`."""

    async def run() -> dict[str, Any]:
        redis = make_redis(settings.redis)
        limits = Catalogue.load(settings.catalogue).limits
        with Progress(console=notes) as progress:
            bar = progress.add_task("sending", total=None)
            try:
                report = await send_file(
                    None if str(file) == "-" else file,
                    settings.kafka,
                    redis,
                    limits,
                    settings.kafka_options,
                    wait_s=wait_s,
                    progress=lambda lines, done, total: progress.update(bar, completed=done, total=total),
                )
            finally:
                await redis.aclose()
        return report.as_json()

    return asyncio.run(run())


def send_csv_and_count(
    settings: Settings, path: Path, wait_s: float, skip_bad: bool, wall_s: Callable[[], float] = time.time
) -> dict[str, Any]:
    """Check all of a CSV file, send it, and report as `send_and_count`, and `lines`, `bad`, `numbered`, `below_window`.

    Bad lines are said one by one. Errors: ValueError (bad lines without `skip_bad`, or no such file: nothing was sent),
    those of `send_and_count`.
    """
    try:
        catalogue = catalogue_in_redis(settings)
    except UnreachableError:  # no worker has run yet: the folder's will be the first
        catalogue = Catalogue.load(settings.catalogue)
    checked = check(path, catalogue, int(wall_s() * 1000))
    for bad in checked.bad[:BAD_SHOWN]:
        note(bad.said(path))
    if len(checked.bad) > BAD_SHOWN:
        note(f"... and {len(checked.bad) - BAD_SHOWN:,} more")
    if checked.bad and not skip_bad:
        raise ValueError(
            f"{path}: {len(checked.bad):,} of {checked.lines:,} lines are bad; nothing was sent. Mend them, or send "
            "the others with --skip-bad"
        )
    if checked.numbered:
        note(f"{path} has no column seq: the lines of each source are numbered from 1, in the order of the file")
    partitions = partitions_of_topic(settings.kafka, EVENTS, settings.kafka_options)
    below = Counter[str]()

    async def run() -> dict[str, Any]:
        redis = make_redis(settings.redis)
        with Progress(console=notes) as progress:
            bar = progress.add_task("sending", total=checked.good)
            try:
                # What an earlier try left in the log and not in the windows yet would be sent again as dead letters.
                marks = high_watermarks(settings.kafka, [(EVENTS, p) for p in partitions], settings.kafka_options)
                ends = {partition: end for (_, partition), end in marks.items()}
                if not await passed_ends(redis, settings.kafka, ends, settings.kafka_options, wait_s=wait_s):
                    raise ValueError(
                        f"{path}: ingest workers have not read {EVENTS} to its end, and do not get on, so nobody knows "
                        "which lines were sent before; nothing was sent. Start them (`tidewatch doctor` shows the lag)"
                    )
                tops = await _tops(redis, partitions, list(checked.highest))
                refuse_numbers(path, checked, tops)
                rows = messages(path, {bad.line for bad in checked.bad})
                lines = to_send(rows, len(partitions), tops, catalogue.limits.window, lambda: below.update(("lines",)))
                report = await send_lines(
                    lines,
                    settings.kafka,
                    redis,
                    catalogue.limits,
                    settings.kafka_options,
                    wait_s=wait_s,
                    progress=lambda line, _: progress.update(bar, completed=line),
                )
            finally:
                await redis.aclose()
        bad = [{"line": line, "column": column, "reason": why} for line, column, why in checked.bad]
        if below["lines"]:
            note(f"{below['lines']:,} lines lie below the window of their source: judged before, and not sent again")
        found = {"lines": checked.lines, "bad": bad, "numbered": checked.numbered, "below_window": below["lines"]}
        return found | report.as_json()

    return asyncio.run(run())


async def _tops(redis: Redis, partitions: list[int], sources: list[str]) -> dict[tuple[int, str], int]:
    """The highest number accepted of each source in each partition, where it has one."""
    out: dict[tuple[int, str], int] = {}
    for partition in partitions if sources else ():
        windows = await redis.hmget(key(partition, SEQ), sources)
        out |= {
            (partition, source): int(window.partition(":")[0])
            for source, window in zip(sources, windows, strict=True)
            if window
        }
    return out
