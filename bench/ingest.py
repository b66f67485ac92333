"""How fast one ingest worker is, beside what a bare consumer reads from the same warm log: `python -m bench.ingest`.

Rows 1 and 2 of DESIGN section 8. Two phases, each on fresh servers: single JSON events, then arrays of 100. In every
round each reader takes the whole log, one after the other, so that noise from outside meets all of them: bare aiokafka
(the baseline), bare confluent-kafka, and our worker as a real process from an emptied Redis. Our rate is events over
the time from the acquisition of the last partition to the flush that reaches the last partition's end. After the last
round an index worker publishes and `verify` recomputes everything: a difference fails the bench.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from bench.common import (
    SYSTEM,
    Bed,
    Positions,
    bed,
    cpu_s,
    emit,
    load,
    machine,
    median,
    note,
    notes,
    say_machine,
    spread,
    table,
    verdict,
    versions,
)
from index.catalogue import Catalogue
from workers.drained import NotDrainedError, wait_until_drained
from workers.feed import Outbox, Sent, play
from workers.output import told
from workers.scenario import Play, Rates, iter_batches
from workers.scenario import load as load_scenario
from workers.settings import REPOSITORY
from workers.verify import verify

BUDGET, BUDGET_ARRAYS = 0.5, 1.0  # DESIGN section 8, rows 1 and 2
FULL = 2_500_000  # events of the scenario at density 1.0
LOOK_S = 0.01  # between two looks at Redis: 0.3 % of a core, and 0.2 % of a measurement of 5 s
STALLED_S = 60.0


@dataclass
class Run:
    """One reader's way through the log. `cpu_us`: CPU microseconds of its process per event."""

    events_s: float
    cpu_us: float
    seconds: float

    def as_json(self) -> dict[str, float]:
        """Rounded."""
        return {"events_s": round(self.events_s), "cpu_us": round(self.cpu_us, 3), "seconds": round(self.seconds, 3)}


def fill(place: Bed, events: int, array: int, *, seed: int = 1, days: int | None = None) -> Sent:
    """Append the scenario at clean rates, about `events` of them, uncompressed (aiokafka may lack the codec)."""
    outbox = Outbox(place.kafka, {"compression.type": "none", "linger.ms": 20})
    scenario = load_scenario(Catalogue.load(place.settings.catalogue), SYSTEM)
    chosen = Play(seed=seed, rates=Rates.none(), density=events / FULL, array=array, days=days)
    try:
        return play(iter_batches(scenario, chosen), outbox, stop=threading.Event())
    finally:
        outbox.close()


def run_reader(place: Bed, kind: str, sent: Sent) -> Run:
    """A bare reader in a process of its own; the rate is in events, not messages."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.readers", kind, place.kafka, json.dumps(sent.ends)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise OSError(f"the {kind} reader failed: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Run(sent.events / found["seconds"], found["cpu_s"] / sent.events * 1e6, found["seconds"])


def run_ours(place: Bed, sent: Sent, name: str, *, keep: bool = False) -> Run:
    """An ingest worker from an emptied Redis to the end of the log. `keep`: leave it running."""
    at = Positions(place.redis, list(sent.ends))
    at.clear()
    try:
        worker = place.crew.start(name, "ingest", env={"TIDEWATCH_GROUP": name})
        _wait(place, lambda: at.look()[0], STALLED_S, "no worker took the partitions over")
        began, cpu = time.monotonic(), cpu_s(worker.pid)
        looks = {"at": began, "done": -1}

        def through() -> bool:
            _, offsets = at.look()
            done = sum(min(offsets[p], end) for p, end in sent.ends.items())
            if done > looks["done"]:
                looks["at"], looks["done"] = time.monotonic(), done
            elif time.monotonic() - looks["at"] > STALLED_S:
                raise NotDrainedError(f"ingest stands at {offsets}")
            return done == sum(sent.ends.values())

        _wait(place, through, 600.0, "the worker did not reach the end")
        seconds, used = time.monotonic() - began, cpu_s(worker.pid) - cpu
        if not keep:
            place.crew.end(name)
        return Run(sent.events / seconds, used / sent.events * 1e6, seconds)
    finally:
        at.close()


def _wait(place: Bed, done: Any, timeout_s: float, otherwise: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        place.crew.check()
        if time.monotonic() > deadline:
            raise NotDrainedError(otherwise)
        time.sleep(LOOK_S)


def verified(place: Bed, sent: Sent) -> dict[str, Any]:
    """Publish what the last round left in Redis, and recompute everything. Errors: NotDrainedError, VerifyError."""
    place.crew.start("index", "index")
    wait_until_drained(place.kafka, place.redis, sent.ends, [SYSTEM], timeout_s=STALLED_S, check=place.crew.check)
    report = verify(place.kafka, place.redis, SYSTEM)
    place.crew.end("index")
    found = report.to_json()
    return {
        name: found[name]
        for name in ("ok", "events", "counts", "cells", "days", "values", "ranks", "differences", "first")
    }


def single_events(rounds: int, events: int, partitions: int) -> dict[str, Any]:
    """Phase 1: all three readers, interleaved."""
    with bed(partitions) as place:
        note(f"single events: appending about {events:,}")
        sent = fill(place, events, 1)
        note(f"{sent.events:,} events in {sent.seconds:.1f} s, {sent.value_bytes / sent.events:.0f} bytes each")
        run_reader(place, "confluent", sent)  # warm: the pages of the log, Kafka's compiler
        runs: dict[str, list[Run]] = {"baseline": [], "confluent": [], "ours": []}
        each: list[dict[str, Any]] = []
        for number in range(1, rounds + 1):
            runs["baseline"].append(run_reader(place, "aiokafka", sent))
            runs["confluent"].append(run_reader(place, "confluent", sent))
            runs["ours"].append(run_ours(place, sent, f"ingest-{number}"))
            each.append({name: found[-1].as_json() for name, found in runs.items()} | {"load": load()})
            note(f"round {number}: " + ", ".join(f"{n} {f[-1].events_s:,.0f}/s" for n, f in runs.items()))
        return {
            "events": sent.events,
            "messages": sent.messages,
            "runs": runs,
            "rounds": each,
            "verify": verified(place, sent),
        }


def arrays(rounds: int, events: int, partitions: int, array: int) -> dict[str, Any]:
    """Phase 2: our worker on arrays, on servers of its own."""
    with bed(partitions) as place:
        note(f"arrays of {array}: appending about {events:,}")
        sent = fill(place, events, array)
        run_reader(place, "confluent", sent)
        ours: list[Run] = []
        for number in range(1, rounds + 1):
            ours.append(run_ours(place, sent, f"ingest-{number}"))
            note(f"round {number}: {ours[-1].events_s:,.0f} events/s")
        return {"events": sent.events, "messages": sent.messages, "ours": ours, "verify": verified(place, sent)}


def measure(rounds: int, events: int, partitions: int, array: int) -> dict[str, Any]:
    """Both phases, and their ratios."""
    one, many = single_events(rounds, events, partitions), arrays(rounds, events, partitions, array)
    rate = {name: [run.events_s for run in found] for name, found in one["runs"].items()}
    rate["ours_arrays"] = [run.events_s for run in many["ours"]]
    mid = {name: median(found) for name, found in rate.items()}
    cpu = {name: median([run.cpu_us for run in found]) for name, found in one["runs"].items()}
    cpu["ours_arrays"] = median([run.cpu_us for run in many["ours"]])
    return {
        "ratio": round(mid["ours"] / mid["baseline"], 4),
        "ratio_arrays": round(mid["ours_arrays"] / mid["baseline"], 4),
        **{name: round(value) for name, value in mid.items()},
        "cpu_us": {name: round(value, 3) for name, value in cpu.items()},
        "range": {name: [round(min(found)), round(max(found))] for name, found in rate.items()},
        "events": one["events"],
        "partitions": partitions,
        "array": array,
        "rounds": one["rounds"],
        "rounds_arrays": [run.as_json() for run in many["ours"]],
        "verify": {
            "ok": one["verify"]["ok"] and many["verify"]["ok"],
            "single": one["verify"],
            "arrays": many["verify"],
        },
    }


def show(result: dict[str, Any]) -> None:
    """The table for people, on standard error."""
    shown = table(
        "ingest: events a second, median of the rounds",
        "reader", "events/s", "lowest .. highest", "CPU us/event", "of the baseline", "budget",
    )  # fmt: skip
    names = {
        "baseline": "aiokafka getmany, bare (baseline)",
        "confluent": "confluent-kafka, bare",
        "ours": "ingest worker, one event a message",
        "ours_arrays": f"ingest worker, arrays of {result['array']}",
    }
    budget = {"ours": (result["ratio"], BUDGET), "ours_arrays": (result["ratio_arrays"], BUDGET_ARRAYS)}
    for name, text in names.items():
        ratio, least = budget.get(name, (result[name] / result["baseline"], None))
        shown.add_row(
            text, f"{result[name]:,.0f}", spread(result["range"][name]),
            f"{result['cpu_us'][name]:.2f}", f"{ratio:.2f}",
            "" if least is None else f">= {least} {verdict(ratio >= least)}",
        )  # fmt: skip
    notes.print(shown)
    differences = sum(result["verify"][phase]["differences"] for phase in ("single", "arrays"))
    exact = "[green]no difference[/green]" if result["verify"]["ok"] else f"[red]{differences} differences[/red]"
    notes.print(f"verify: {exact}")


def main(
    rounds: Annotated[int, typer.Option(min=1, help="of each reader")] = 5,
    events: Annotated[int, typer.Option(min=10_000, help="about how many, in each phase")] = 1_000_000,
    partitions: Annotated[int, typer.Option(min=1, help="of indicator-events")] = 4,
    array: Annotated[int, typer.Option(min=2, help="events a message in the second phase")] = 100,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")] = False,
) -> None:
    """Measure one ingest worker beside bare consumers; exit 1 when what it made is not exact."""
    with told():
        before = load()
        result = measure(rounds, events, partitions, array)
        about = machine() | {"load_before": before}
        result |= {"machine": about, "versions": versions()}
        show(result)
        say_machine(about, result["versions"])
        if json:
            emit(result)
        raise typer.Exit(0 if result["verify"]["ok"] else 1)


if __name__ == "__main__":
    typer.run(main)
