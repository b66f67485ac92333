"""`tidewatch feed`: play a scenario, or send a file."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from index.catalogue import Catalogue
from workers.connect import make_redis
from workers.feed import Outbox, Sent, play
from workers.feed_file import send_file
from workers.output import emit, notes, told
from workers.run import prepare_topics
from workers.scenario import DEFAULT_DENSITY, Play, Rates, iter_batches, load
from workers.settings import Settings

_DAYS = 820  # 2021-01-01 to 2023-03-31, and the closing day


def feed(
    scenario: Annotated[str, typer.Option(help="what to play")] = "dti-2023",
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="send an NDJSON file instead; - is standard input")
    ] = None,
    speed: Annotated[float, typer.Option(help="days a second; 0: as fast as it goes")] = 0.0,
    seed: Annotated[int, typer.Option(help="of all that is random in it")] = 1,
    density: Annotated[float, typer.Option(help="of reports; 1.0: 2.5 million events")] = DEFAULT_DENSITY,
    array: Annotated[int, typer.Option(help="events a message")] = 1,
    days: Annotated[int | None, typer.Option(help="how many days from the first")] = None,
    cities: Annotated[int | None, typer.Option(help="how many of the largest cities")] = None,
    first_seq: Annotated[
        int | None, typer.Option(help="of every source; default: from the clock, above earlier plays")
    ] = None,
    duplicates: Annotated[float, typer.Option(help="rate of repeated events")] = Rates().duplicates,
    late: Annotated[float, typer.Option(help="rate of late events")] = Rates().late,
    corrections: Annotated[float, typer.Option(help="rate of corrections")] = Rates().corrections,
    restatements: Annotated[float, typer.Option(help="rate of restatements of closed quarters")] = Rates().restatements,
    bad: Annotated[float, typer.Option(help="rate of events of every reject reason")] = Rates().bad,
    wait: Annotated[float, typer.Option(help="seconds without progress after which counting a file ends")] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")] = False,
) -> None:
    """Send events to Kafka: a scenario at an adjustable speed, or a file."""
    with told():
        settings = Settings()
        prepare_topics(settings)
        if file is not None:
            result = _send_file(settings, file, wait)
        else:
            rates = Rates(
                duplicates=duplicates, late=late, corrections=corrections, restatements=restatements, bad=bad,
                odd=Rates().odd if bad else 0.0,
            )  # fmt: skip
            chosen = Play(
                seed=seed, rates=rates, density=density, array=array, days=days, cities=cities,
                # Milliseconds of now: above what an earlier play reached, and far from a jump of 2^48.
                first_seq=first_seq if first_seq is not None else int(time.time() * 1000),
            )  # fmt: skip
            result = _play(settings, scenario, chosen, speed).as_json()
        if json:
            emit(result)
        else:
            notes.print(result)


def _play(settings: Settings, scenario: str, chosen: Play, speed: float) -> Sent:
    catalogue = Catalogue.load(settings.catalogue)
    outbox, stop = Outbox(settings.kafka, settings.kafka_options), threading.Event()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn())
    with Progress(*columns, console=notes) as progress:
        bar = progress.add_task("feed", total=chosen.days or _DAYS, said="")

        def show(sent: Sent) -> None:
            said = f"{sent.day} {sent.events:,} events, {sent.events / max(sent.seconds, 1e-3):,.0f}/s"
            progress.update(bar, completed=sent.days, said=said)

        try:
            return play(
                iter_batches(load(catalogue, scenario), chosen),
                outbox,
                days_per_second=speed,
                progress=show,
                stop=stop,
            )
        finally:
            outbox.close()


def _send_file(settings: Settings, file: Path, wait_s: float) -> dict[str, Any]:
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
