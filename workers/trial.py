"""`tidewatch demo --once`: everything, once, from nothing, and verified: the proof that it works here."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from index.catalogue import Catalogue
from workers.crew import Crew
from workers.drained import wait_until_drained
from workers.feed import Outbox, Sent, play
from workers.local.servers import Servers
from workers.prepare import prepare_topics
from workers.scenario import Play, Rates, iter_batches, load
from workers.settings import Settings
from workers.verify import Report, verify

INGEST_WORKERS = 2
STILL_S = 60.0  # nothing moves for so long: the trial has failed


def run_trial(
    scenario: str, seed: int, settings: Settings, progress: Callable[[str], None], *, density: float, partitions: int
) -> tuple[dict[str, Any], list[Report]]:
    """Fresh servers, two ingest workers and one index worker, the whole scenario with every fault in it, verified.

    Returns the summary (for `--json`) and the reports. Errors: LocalError, NotDrainedError, VerifyError, StreamError.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tidewatch-") as folder:  # noqa: SIM117 - the others need its name
        with (
            Servers(Path(folder) / "servers", progress=progress) as servers,
            Crew(Path(folder) / "workers", servers.kafka, servers.redis, _folders(settings)) as crew,
        ):
            ours = settings.model_copy(
                update={"kafka": servers.kafka, "redis": servers.redis, "partitions": partitions, "kafka_options": {}}
            )
            prepare_topics(ours)
            for number in range(1, INGEST_WORKERS + 1):
                crew.start(f"ingest-{number}", "ingest")
            crew.start("index", "index")
            progress(f"{INGEST_WORKERS} ingest workers, 1 index worker; logs in {crew.folder}")
            catalogue = Catalogue.load(ours.catalogue)
            sent = _play(scenario, seed, density, catalogue, ours, progress)
            revisions = wait_until_drained(
                ours.kafka,
                ours.redis,
                sent.ends,
                [scenario],
                timeout_s=STILL_S,
                check=crew.check,
                progress=_seldom(progress),
            )
            processed_s = time.monotonic() - began
            reports = [verify(ours.kafka, ours.redis, system, progress=progress) for system in revisions]
            crew.check()
    return _summary(scenario, seed, sent, revisions, reports, len(catalogue.cities), processed_s), reports


def _folders(settings: Settings) -> dict[str, str]:
    return {"TIDEWATCH_CATALOGUE": str(settings.catalogue), "TIDEWATCH_SYSTEMS": str(settings.systems)}


def _play(
    scenario: str, seed: int, density: float, catalogue: Catalogue, settings: Settings, progress: Callable[[str], None]
) -> Sent:
    outbox = Outbox(settings.kafka, settings.kafka_options)
    say = _seldom(progress)
    try:
        return play(
            iter_batches(load(catalogue, scenario), Play(seed=seed, rates=Rates(), density=density)),
            outbox,
            progress=lambda sent: say(f"sent {sent.events:,} events, {sent.day}"),
            stop=threading.Event(),
        )
    finally:
        outbox.close()


def _seldom(progress: Callable[[str], None], every_s: float = 2.0) -> Callable[[str], None]:
    """`progress`, but not more than once in `every_s`."""
    last = 0.0

    def say(line: str) -> None:
        nonlocal last
        if time.monotonic() - last >= every_s:
            last = time.monotonic()
            progress(line)

    return say


def _summary(
    scenario: str,
    seed: int,
    sent: Sent,
    revisions: dict[str, int],
    reports: list[Report],
    cities: int,
    seconds: float,
) -> dict[str, Any]:
    counts = reports[0].counts
    rejected = {name.removeprefix("rejected:"): n for name, n in counts.items() if name.startswith("rejected:")}
    accepted, duplicates = counts.get("accepted", 0), counts.get("duplicate", 0)
    differences = sum(sum(r.found.values()) for r in reports)
    balanced = sent.events == accepted + duplicates + sum(rejected.values())
    return {
        "scenario": scenario,
        "seed": seed,
        "sent": sent.events,
        "accepted": accepted,
        "duplicates": duplicates,
        "rejected": dict(sorted(rejected.items())),
        "cities": cities,
        "seconds": round(seconds, 3),
        "revisions": revisions,
        "verify": {
            "cells": sum(r.compared["cells"] for r in reports),
            "values": sum(r.compared["values"] for r in reports),
            "differences": differences,
            "systems": {r.system: r.to_json()["compared"] for r in reports},
        },
        "balanced": balanced,
        "ok": balanced and differences == 0,
    }
