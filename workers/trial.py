"""`tidewatch demo --once`: everything, once, from nothing, and verified: the proof that it works here."""

from __future__ import annotations

import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from index.catalogue import Catalogue
from workers.crew import Crew
from workers.drained import wait_until_drained
from workers.feed import Outbox, Sent, play
from workers.local.servers import Servers
from workers.prepare import definition_files, prepare_topics
from workers.scenario import Play, Rates, Scenario, iter_batches, load
from workers.settings import Settings
from workers.verify import Report, verify_all

INGEST_WORKERS = 2
STILL_S = 60.0  # nothing moves for so long: the trial has failed


def run_trial(
    scenario: str,
    seed: int,
    settings: Settings,
    progress: Callable[[str], None],
    *,
    density: float,
    partitions: int,
    systems: Sequence[str] = (),
) -> tuple[dict[str, Any], list[Report]]:
    """Fresh servers, two ingest workers and one index worker, the whole scenario with every fault in it, verified.

    The index worker runs all systems of the folder; `systems` are those that are waited for and verified (none named:
    all of them). Returns the summary (for `--json`) and a report per system. Errors: LocalError, NotDrainedError,
    VerifyError, StreamError; ValueError for an unknown scenario and, with OSError, a folder of systems that cannot be
    read.
    """
    systems = sorted(systems or systems_of(settings.systems))
    made = load(Catalogue.load(settings.catalogue), scenario)
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

            def drained(ends: dict[int, int]) -> dict[str, int]:
                say = _seldom(progress)
                return wait_until_drained(
                    ours.kafka, ours.redis, ends, systems, timeout_s=STILL_S, check=crew.check, progress=say
                )

            drained({})  # every system has published its first, empty revision: what follows is published as it comes
            sent = _play(made, Play(seed=seed, rates=Rates(), density=density), ours, progress)
            revisions = drained(sent.ends)
            processed_s = time.monotonic() - began
            reports = verify_all(ours.kafka, ours.redis, systems, progress=progress)
            crew.check()
    seconds = {"processed": processed_s, "all": time.monotonic() - began}
    return _summary(scenario, seed, sent, revisions, reports, len(made.frame.codes), seconds), reports


def systems_of(folder: Path) -> list[str]:
    """Names of the systems that a folder defines. Raises OSError, and ValueError for a file that is no definition."""
    names = []
    for path in definition_files(folder):
        name = tomllib.loads(path.read_text(encoding="utf-8-sig")).get("system")
        if not isinstance(name, str):
            raise ValueError(f"{path}: no `system`; a definition must name its system")
        names.append(name)
    return names


def _folders(settings: Settings) -> dict[str, str]:
    return {"TIDEWATCH_CATALOGUE": str(settings.catalogue), "TIDEWATCH_SYSTEMS": str(settings.systems)}


def _play(scenario: Scenario, chosen: Play, settings: Settings, progress: Callable[[str], None]) -> Sent:
    outbox = Outbox(settings.kafka, settings.kafka_options)
    say = _seldom(progress)
    try:
        return play(
            iter_batches(scenario, chosen),
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
    seconds: dict[str, float],
) -> dict[str, Any]:
    """What happened, in all and by system; `ok` when everything sent is accounted for and no system differs."""
    counts = reports[0].counts
    rejected = {name.removeprefix("rejected:"): n for name, n in counts.items() if name.startswith("rejected:")}
    accepted, duplicates = counts.get("accepted", 0), counts.get("duplicate", 0)
    differences = sum(sum(r.found.values()) for r in reports)
    balanced = sent.events == accepted + duplicates + sum(rejected.values())
    verified = {report.system for report in reports} == revisions.keys()
    return {
        "scenario": scenario,
        "seed": seed,
        "sent": sent.events,
        "accepted": accepted,
        "duplicates": duplicates,
        "rejected": dict(sorted(rejected.items())),
        "cities": cities,
        "seconds": round(seconds["processed"], 3),
        "seconds_with_verify": round(seconds["all"], 3),
        "revisions": revisions,
        "verify": {
            "cells": max(r.compared["cells"] for r in reports),  # all systems share the cells: each report has them
            "values": sum(r.compared["values"] for r in reports),
            "differences": differences,
            "systems": {
                r.system: {**r.to_json()["compared"], "differences": sum(r.found.values()), "ok": r.ok} for r in reports
            },
        },
        "balanced": balanced,
        "ok": balanced and verified and differences == 0,
    }
