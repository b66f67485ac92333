"""`tidewatch verify`: everything that is published, recomputed another way from the log, and compared to the bit.

The log is read again from its beginning, which events count is decided again in plain Python, the numbers are made in
DuckDB. Nothing here is shared with the engine but the names of the topics; docs/formats.md is what both follow. The
steps, in the order of the files:

    published    committed records of the output topics, as of the last revision
    redis_state  cells, day cells, counts, windows of each partition, at Redis's own offset
    log, messages, checks, times, windows, accept    the log again, to the later of both offsets
    amounts, evaluate, growth, ranks, batch          the numbers again, at the revision's offsets
    compare, tables, report
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from typing import Any

from stream.topics import EVENTS
from workers.verify.accept import Accepted, Judge
from workers.verify.batch import CHUNK_EVENTS, Batch
from workers.verify.catalogue import Catalogue, record_catalogue
from workers.verify.checks import Checks
from workers.verify.compare import compare_redis, compare_revision, compare_values
from workers.verify.definition import Definition, parse_definition
from workers.verify.errors import VerifyError
from workers.verify.growth import system_watermark
from workers.verify.log import Log
from workers.verify.published import Published, last_revision, read_published
from workers.verify.redis_state import PartitionState, read_offsets, read_state
from workers.verify.report import Difference, Report, equal, render
from workers.verify.tables import compare_tables

__all__ = ["Difference", "Report", "VerifyError", "equal", "render", "verify"]

# Whole tables follow their deltas within a second: a revision older than this has them, so the system is at rest.
REST_S = 2.5
# How long a Redis that went back may take to catch up with what is published.
CATCH_UP_S = 60.0
PROGRESS_S = 1.0

Progress = Callable[[str], None]


def verify(
    kafka: str,
    redis_url: str,
    system: str,
    *,
    progress: Progress | None = None,
    kafka_options: Mapping[str, Any] | None = None,
    catch_up_s: float = CATCH_UP_S,
    rest_s: float = REST_S,
) -> Report:
    """Recompute a system and compare. `kafka` host:port, `redis_url` redis://...; `progress` gets a line per step and
    second.

    Any difference stands in the report. VerifyError when there is nothing to compare: no revision yet, servers that do
    not answer, a log that has lost its beginning.
    """
    began, say = time.monotonic(), progress or (lambda line: None)
    log = Log(kafka, kafka_options)
    say(f"reading what {system} has published")
    published, at_rest = _settled(log, system, rest_s, say)
    report = Report(system, revision=published.last["revision"], offsets=published.offsets, at_rest=at_rest)
    definition = parse_definition(published.definition)

    partitions = log.partitions(EVENTS)
    say("reading Redis")
    states = _redis(report, redis_url, partitions, catch_up_s)
    report.redis_offsets = {p: state.offset for p, state in states.items()}

    batch = Batch()
    try:
        judges = _judge(log, report, partitions, batch, say)
        say(f"recomputing {report.events:,} events")
        now = {p: judge.snapshots[report.redis_offsets[p]] for p, judge in judges.items()}
        then = {p: judge.snapshots[report.offsets.get(p, 0)] for p, judge in judges.items()}
        compare_redis(report, states, now, batch, report.redis_offsets)
        watermark = system_watermark(snapshot.watermark for snapshot in then.values())
        compare_revision(report, published, then.values(), watermark)
        catalogue = _catalogue(judges, published.last["catalogue"])
        batch.system(definition, catalogue, report.offsets, watermark)
        _compare_outputs(report, published, batch, definition, catalogue)
    finally:
        batch.close()
    report.seconds = time.monotonic() - began
    return report


def _settled(log: Log, system: str, rest_s: float, say: Progress) -> tuple[Published, bool]:
    """What is published; and whether it is at rest: no newer revision within rest_s of the last one's commit."""
    published = read_published(log, system)
    age_s = time.time() - published.committed_ms / 1000
    if 0 <= age_s < rest_s:
        say("waiting for the whole tables of the last revision")
        time.sleep(rest_s - age_s)
        published = read_published(log, system)
    return published, last_revision(log, system) == published.last["revision"] and (
        not 0 <= time.time() - published.committed_ms / 1000 < rest_s
    )


def _redis(report: Report, url: str, partitions: list[int], catch_up_s: float) -> dict[int, PartitionState]:
    """Redis's state, once it is not behind the last revision; if it stays behind, that is a difference."""
    deadline = time.monotonic() + catch_up_s
    while True:
        held = read_offsets(url, partitions)
        behind = [p for p in partitions if held[p] < report.offsets.get(p, 0)]
        if not behind or time.monotonic() > deadline:
            break
        time.sleep(0.25)
    for p in behind:
        report.differ("redis-behind", f"partition {p}: next offset", held[p], f"at least {report.offsets[p]}")
    for p in report.offsets.keys() - set(partitions):
        report.differ("revision", f"offset of partition {p}", report.offsets[p], "no such partition")
    return read_state(url, partitions)


def _judge(log: Log, report: Report, partitions: list[int], batch: Batch, say: Progress) -> dict[int, Judge]:
    """Read the log up to the later of both cuts, and decide which events count."""
    accepted = Accepted()
    cuts = {p: (report.offsets.get(p, 0), report.redis_offsets[p]) for p in partitions}
    ends = {p: max(cuts[p]) for p in partitions}
    highs: dict[int, int] = {}
    for p, (low, highs[p]) in log.bounds(EVENTS, partitions).items():
        if low > 0:
            raise VerifyError(
                f"{EVENTS}/{p} begins at offset {low}: what came before is lost, and cannot be recomputed"
            )
        if ends[p] > highs[p]:
            report.differ("log", f"{EVENTS}/{p}: next offset", ends[p], f"the log ends at {highs[p]}")
    first = _first_catalogues(log, {p: highs[p] for p in partitions if ends[p]})
    judges = {p: Judge(p, first.get(p), accepted, cuts[p]) for p in partitions}
    told, read = time.monotonic(), 0
    # Millions of small objects and no cycle among them: looking for one would take as long as all the rest.
    collecting = gc.isenabled()
    gc.disable()
    try:
        for record in log.read(EVENTS, {p: min(ends[p], highs[p]) for p in partitions}):
            judges[record.partition].record(record.offset, record.timestamp_ms, record.key, record.value)
            read += 1
            if len(accepted.rows) >= CHUNK_EVENTS * 8:
                batch.add(accepted)
            if read % 10_000 == 0 and time.monotonic() - told >= PROGRESS_S:
                told = time.monotonic()
                say(f"read {read:,} of about {sum(ends.values()):,} messages again")
    finally:
        if collecting:
            gc.enable()
    for judge in judges.values():
        judge.finish()
    batch.names(accepted)
    report.events = sum(judge.elements for judge in judges.values())
    return judges


def _first_catalogues(log: Log, highs: dict[int, int]) -> dict[int, Checks]:
    """Of each partition, the checks of its first catalogue record: it judges what lies before it, too."""
    found: dict[int, Checks] = {}
    made: dict[int, Checks] = {}
    for record in log.read(EVENTS, highs, done=lambda partition: partition in found):
        if record.partition not in found:
            catalogue = record_catalogue(record.key, record.value)
            if catalogue is not None:
                found[record.partition] = made.setdefault(id(catalogue), Checks(catalogue))
    return found


def _catalogue(judges: Mapping[int, Judge], version: int) -> Catalogue:
    """The catalogue of that version, from whichever partition had it in force at one of the cuts."""
    for judge in judges.values():
        for catalogue in judge.catalogues:
            if catalogue.version == version:
                return catalogue
    raise VerifyError(f"the log holds no catalogue of version {version}, which the last revision names")


def _compare_outputs(
    report: Report, published: Published, batch: Batch, definition: Definition, catalogue: Catalogue
) -> None:
    compare_values(report, published, batch, catalogue.kinds)
    measures = {ranking.name: (ranking.measure, ranking.node) for ranking in definition.rankings}
    compare_tables(report, published, batch.tables(), measures)
