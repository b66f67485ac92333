"""What `tidewatch feed` does: play a scenario with a progress bar, or send a file and count what became of it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from index.catalogue import Catalogue
from workers.connect import make_redis
from workers.feed import Outbox, Sent, play
from workers.feed_file import send_file
from workers.output import notes
from workers.scenario import Play, days_of, iter_batches, load
from workers.settings import Settings


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
