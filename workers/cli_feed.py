"""`tidewatch feed`: play a scenario, or send a file."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from workers.output import emit, notes, told
from workers.settings import Settings


def feed(
    scenario: Annotated[str, typer.Option(help="what to play")] = "dti-2023",
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="send an NDJSON file instead; - is standard input")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="send a CSV file: a header with the event's fields; every line is checked first")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="of a CSV file: send the lines that are good")] = False,
    speed: Annotated[float, typer.Option(min=0, help="days a second; 0: as fast as it goes")] = 0.0,
    seed: Annotated[int, typer.Option(help="of all that is random in it")] = 1,
    density: Annotated[
        float | None, typer.Option(min=0, help="of reports; 1.0: 2.5 million events, default: 600,000 to 800,000")
    ] = None,
    array: Annotated[int, typer.Option(min=1, help="events a message")] = 1,
    days: Annotated[int | None, typer.Option(min=1, help="how many days from the first")] = None,
    cities: Annotated[int | None, typer.Option(min=1, help="how many of the largest cities")] = None,
    first_seq: Annotated[
        int | None, typer.Option(help="of every source; default: from the clock, above earlier plays")
    ] = None,
    duplicates: Annotated[float | None, typer.Option(min=0, max=1, help="rate of repeated events")] = None,
    late: Annotated[float | None, typer.Option(min=0, max=1, help="rate of late events")] = None,
    corrections: Annotated[float | None, typer.Option(min=0, max=1, help="rate of corrections")] = None,
    restatements: Annotated[
        float | None, typer.Option(min=0, max=1, help="rate of restatements of closed quarters")
    ] = None,
    bad: Annotated[float | None, typer.Option(min=0, max=1, help="rate of events of every reject reason")] = None,
    wait: Annotated[float, typer.Option(help="seconds without progress after which counting a file ends")] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")] = False,
) -> None:
    """Send events to Kafka: a scenario at an adjustable speed, or a file."""
    from workers.feed_run import play_scenario, send_and_count, send_csv_and_count
    from workers.prepare import prepare_topics
    from workers.scenario import DEFAULT_DENSITY, Play, Rates

    with told():
        settings = Settings()
        prepare_topics(settings)
        if csv is not None and file is not None:
            raise ValueError("--file or --csv, not both")
        if csv is not None:
            result = send_csv_and_count(settings, csv, wait, skip_bad)
        elif file is not None:
            result = send_and_count(settings, file, wait)
        else:
            given = {
                "duplicates": duplicates, "late": late, "corrections": corrections, "restatements": restatements,
                "bad": bad,
            }  # fmt: skip
            rates = replace(Rates(), **{name: rate for name, rate in given.items() if rate is not None})
            chosen = Play(
                seed=seed, rates=rates, array=array, days=days, cities=cities,
                density=density or DEFAULT_DENSITY,
                # Milliseconds of now: above what an earlier play reached, and far from a jump of 2^48.
                first_seq=first_seq if first_seq is not None else int(time.time() * 1000),
            )  # fmt: skip
            result = play_scenario(settings, scenario, chosen, speed).as_json()
        if json:
            emit(result)
        else:
            notes.print(result)
