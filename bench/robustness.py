"""What rank intervals cost, and that revisions do not wait for them: `python -m bench.robustness`.

Two figures. The processor time of one computation (draws x nodes x cities, every table of a period), in this process,
without servers. And the latency from an event's append to the commit of the ranking it moved (as `bench.latency`
measures it) with and without the intervals, at one rate, in one run on the same servers, off, on, on, off: what counts
is the ratio of the two.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from bench.common import SYSTEM, bed, emit, load, machine, note, notes, say_machine, table, versions
from bench.ingest import STALLED_S, fill, run_ours
from bench.latency import run_load
from index.catalogue import Catalogue
from index.definition import Definition
from index.robustness import Robustness, ranks_by_root
from index.system import System
from stream.tail import high_watermarks
from stream.topics import EVENTS, ROBUSTNESS, partition_of
from workers.drained import wait_until_drained
from workers.output import told
from workers.robust import BURST_S, RATE
from workers.settings import Settings

TURNS = ("off", "on", "on", "off")
REST_S = 3.0


def computation(rounds: int) -> dict[str, Any]:
    """Seconds of processor time of one period's intervals, beside those of drawing the weights (once a definition)."""
    settings = Settings()
    catalogue = Catalogue.load(settings.catalogue)
    system = System(Definition.load(settings.systems / f"{SYSTEM}.toml", catalogue), catalogue)
    tree, layout = system.definition.tree, system.layout
    rng = np.random.default_rng(1)
    values = np.exp(rng.normal(0, 1.5, (len(tree.nodes), layout.total)))
    outlines = [outline for outline in system.outlines.values() if ranks_by_root(outline)]
    began = time.thread_time()
    robustness = Robustness(system.definition)
    drawn_s = time.thread_time() - began
    each = []
    for _ in range(rounds):
        began = time.thread_time()
        tables = sum(1 for _ in robustness.intervals(layout, outlines, values))
        each.append(time.thread_time() - began)
    return {
        "draws": robustness.draws,
        "nodes": len(tree.nodes),
        "cities": layout.n_cities,
        "tables": tables,
        "weights_ms": round(drawn_s * 1e3, 2),
        "intervals_ms": round(statistics.median(each) * 1e3, 2),
        "periods_a_minute": round((RATE * 60 + BURST_S) / statistics.median(each)),
    }


def latency(seconds: float, rate: float, partitions: int, events: int) -> list[dict[str, Any]]:
    """One load after the other, the index worker started anew for each, with the intervals off and on."""
    with bed(partitions) as place, tempfile.TemporaryDirectory(prefix="tidewatch-bench-") as folder:
        shutil.copy(place.settings.systems / f"{SYSTEM}.toml", folder)
        sent = fill(place, events, 1, days=730)
        run_ours(place, sent, "ingest", keep=True)
        where, at_s, results = (ROBUSTNESS, partition_of(SYSTEM)), 0.0, []
        for turn, robustness in enumerate(TURNS):
            env = {"TIDEWATCH_ROBUSTNESS": robustness, "TIDEWATCH_SYSTEMS": str(Path(folder))}
            place.crew.start("index", "index", env=env)
            ends = {p: end for (_, p), end in high_watermarks(place.kafka, _events(partitions)).items()}
            wait_until_drained(place.kafka, place.redis, ends, [SYSTEM], timeout_s=STALLED_S, check=place.crew.check)
            time.sleep(REST_S)
            before = high_watermarks(place.kafka, [where])[where]
            found = run_load(place, rate, seconds, 10**9 * (turn + 1), at_s, 3600.0)
            at_s = found.pop("at_s")
            found |= {"robustness": robustness, "records": high_watermarks(place.kafka, [where])[where] - before}
            note(
                f"{robustness}: p50 {found['p50_ms']:.1f} ms, p99 {found['p99_ms']:.1f} ms, {found['records']} records"
            )
            results.append(found)
            place.crew.end("index")
        return results


def _events(partitions: int) -> list[tuple[str, int]]:
    return [(EVENTS, p) for p in range(partitions)]


def ratios(results: list[dict[str, Any]]) -> dict[str, float]:
    """With the intervals over without them, of the better turn of each: what else runs here only makes it worse."""

    def best(which: str, name: str) -> float:
        found = [r[name] for r in results if r["robustness"] == which]
        return max(found) if name == "revisions_s" else min(found)

    return {name: round(best("on", name) / best("off", name), 3) for name in ("p50_ms", "p99_ms", "revisions_s")}


def show(result: dict[str, Any]) -> None:
    """The tables for people, on standard error."""
    one = result["computation"]
    note(
        f"one period, {one['draws']} draws x {one['nodes']} nodes x {one['cities']} cities, {one['tables']} tables: "
        f"{one['intervals_ms']} ms (drawing the weights, once: {one['weights_ms']} ms); "
        f"the budget pays for {one['periods_a_minute']} periods a minute"
    )
    if "latency" not in result:
        return
    columns = ("intervals", "events/s", "p50 ms", "p99 ms", "revisions/s", "records", "cores of index")
    shown = table("event appended -> ranking committed", *columns)
    for found in result["latency"]:
        shown.add_row(
            found["robustness"], f"{found['achieved_rate']:,}", f"{found['p50_ms']:.1f}", f"{found['p99_ms']:.1f}",
            f"{found['revisions_s']}", f"{found['records']:,}", f"{found['cores_used']['index']}",
        )  # fmt: skip
    notes.print(shown)
    note(f"on / off: {result['on_to_off']}")


def main(
    seconds: Annotated[float, typer.Option(min=1, help="of each of the four loads, besides 5 s of warm-up")] = 30.0,
    rate: Annotated[float, typer.Option(min=100, help="events a second")] = 5_000.0,
    partitions: Annotated[int, typer.Option(min=1, help="of indicator-events")] = 4,
    events: Annotated[int, typer.Option(min=10_000, help="about how many are loaded beforehand")] = 200_000,
    rounds: Annotated[int, typer.Option(min=1, help="of the computation alone")] = 15,
    only_computation: Annotated[bool, typer.Option("--only-computation", help="without servers")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")] = False,
) -> None:
    """Measure one computation of rank intervals, and the latency of revisions with and without them."""
    with told():
        before = load()
        result: dict[str, Any] = {"computation": computation(rounds)}
        if not only_computation:
            result["latency"] = latency(seconds, rate, partitions, events)
            result["on_to_off"] = ratios(result["latency"])
        about = machine() | {"load_before": before}
        result |= {"machine": about, "versions": versions()}
        show(result)
        say_machine(about, result["versions"])
        if json:
            emit(result)


if __name__ == "__main__":
    typer.run(main)
