"""`tidewatch verify`: everything that is published, recomputed another way from the log, and compared to the bit.

The log is read again from its beginning, once for all systems; which events count is decided again in plain Python,
amounts are made in DuckDB, values and measures in Python. Nothing here is shared with the engine but the names of the
topics; docs/formats.md is what both follow. The steps, in the order of the files:

    published    committed records of the output topics, as of the last revision of each system
    redis_state  cells, day cells, counts, windows of each partition, at Redis's own offset
    log, messages, checks, times, windows, accept, replay    the log again, to the last of all these offsets
    definition, tree, mergers, amounts, system, grid         amounts again, at a revision's offsets
    leaves, nodes, growth, numbers, to_date                  values and growths of them
    asked, measures, measures_tables, measures_members, ranks
    compare, tables, report
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from stream.topics import EVENTS
from workers.verify.accept import Judge
from workers.verify.batch import Batch
from workers.verify.compare import compare_redis, compare_revision, compare_values
from workers.verify.definition import parse_definition
from workers.verify.errors import VerifyError
from workers.verify.growth import system_watermark
from workers.verify.log import Log
from workers.verify.published import Published, last_revision, read_published, read_revisions, systems_published
from workers.verify.redis_state import PartitionState, read_offsets, read_state
from workers.verify.replay import Progress, catalogue_of, replay
from workers.verify.report import Difference, Report, equal, render, total
from workers.verify.tables import compare_tables

__all__ = ["Difference", "Report", "VerifyError", "equal", "render", "total", "verify", "verify_all"]

# Whole tables follow their deltas within a second: a revision older than this has them, so the system is at rest.
REST_S = 2.5
# How long a Redis that went back may take to catch up with what is published.
CATCH_UP_S = 60.0


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
    """Recompute a system and compare: `verify_all` of one."""
    [report] = verify_all(
        kafka,
        redis_url,
        [system],
        progress=progress,
        kafka_options=kafka_options,
        catch_up_s=catch_up_s,
        rest_s=rest_s,
    )
    return report


def verify_all(
    kafka: str,
    redis_url: str,
    systems: Sequence[str] = (),
    *,
    progress: Progress | None = None,
    kafka_options: Mapping[str, Any] | None = None,
    catch_up_s: float = CATCH_UP_S,
    rest_s: float = REST_S,
) -> list[Report]:
    """Recompute systems and compare: the log once, each system at the offsets of its own last revision.

    `kafka` host:port, `redis_url` redis://...; `systems`: none named means all that have published a revision;
    `progress` gets a line per step and second. A report a system, in that order, whose `seconds` are those of the log
    and of itself; what is found in Redis, which all share, stands in each.

    Any difference stands in the reports. VerifyError when there is nothing to compare: no revision yet, servers that do
    not answer, a log that has lost its beginning.
    """
    began, say = time.monotonic(), progress or (lambda line: None)
    log = Log(kafka, kafka_options)
    published = _revisions(log, systems, rest_s, say)
    if not published:
        raise VerifyError("no system has published a revision yet: there is nothing to verify")
    shared, batch = Report(""), Batch()
    try:
        partitions = log.partitions(EVENTS)
        say("reading Redis")
        needed = {p: max(each.offsets.get(p, 0) for each in published.values()) for p in partitions}
        states = _redis(shared, redis_url, needed, catch_up_s)
        shared.redis_offsets = {p: state.offset for p, state in states.items()}
        cuts = {
            p: {shared.redis_offsets[p], *(each.offsets.get(p, 0) for each in published.values())} for p in partitions
        }
        judges = replay(log, shared, cuts, batch, say, {p: state.skipped for p, state in states.items()})
        shared.events = sum(judge.elements for judge in judges.values())
        now = {p: judge.snapshots[shared.redis_offsets[p]] for p, judge in judges.items()}
        compare_redis(shared, states, now, batch, shared.redis_offsets)
        shared.seconds = time.monotonic() - began
        return [
            _system(log, system, published.pop(system), shared, judges, batch, rest_s, say)
            for system in list(published)
        ]
    finally:
        batch.close()


def _redis(report: Report, url: str, needed: Mapping[int, int], catch_up_s: float) -> dict[int, PartitionState]:
    """Redis's state, once no partition is behind the offset `needed`; if one stays behind, that is a difference."""
    deadline = time.monotonic() + catch_up_s
    while True:
        held = read_offsets(url, list(needed))
        behind = [p for p in needed if held[p] < needed[p]]
        if not behind or time.monotonic() > deadline:
            break
        time.sleep(0.25)
    for p in behind:
        report.differ("redis-behind", f"partition {p}: next offset", held[p], f"at least {needed[p]}")
    return read_state(url, list(needed))


def _system(
    log: Log,
    system: str,
    published: Published,
    shared: Report,
    judges: Mapping[int, Judge],
    batch: Batch,
    rest_s: float,
    say: Progress,
) -> Report:
    """One system, recomputed and compared."""
    began = time.monotonic()
    report = Report(
        system,
        revision=published.last["revision"],
        offsets=published.offsets,
        redis_offsets=dict(shared.redis_offsets),
        events=shared.events,
    )
    report.include(shared)
    for p in report.offsets.keys() - judges.keys():
        report.differ("revision", f"offset of partition {p}", report.offsets[p], "no such partition")
    say(f"reading what {system} has published")
    report.at_rest = _read(log, system, published, rest_s)
    say(f"recomputing {system}")
    then = [judge.snapshots[report.offsets.get(p, 0)] for p, judge in judges.items()]
    watermark = system_watermark(snapshot.watermark for snapshot in then)
    compare_revision(report, published, then, watermark)
    catalogue = catalogue_of(judges.values(), published.last["catalogue"])
    definition = parse_definition(published.definition, catalogue)
    recomputed = batch.system(definition, catalogue, report.offsets, watermark)
    compare_values(report, published, recomputed.values(), definition.inexact())
    measures = {ranking.name: (ranking.measure, ranking.node) for ranking in definition.rankings}
    compare_tables(report, published, recomputed.tables(), measures)
    report.seconds = shared.seconds + time.monotonic() - began
    return report


def _revisions(log: Log, systems: Sequence[str], rest_s: float, say: Progress) -> dict[str, Published]:
    """The revisions of each system; again, after a while, where one has just published."""
    found = {system: read_revisions(log, system) for system in systems or systems_published(log)}
    ages_s = [time.time() - each.committed_ms / 1000 for each in found.values()]
    young_s = min((age_s for age_s in ages_s if age_s >= 0), default=rest_s)
    if young_s < rest_s:
        say("waiting for the whole tables of the last revision")
        time.sleep(rest_s - young_s)
        found = {system: read_revisions(log, system) for system in found}
    return found


def _read(log: Log, system: str, published: Published, rest_s: float) -> bool:
    """Read what is published; and whether it is at rest: no newer revision within rest_s of the last one's commit."""
    age_s = time.time() - published.committed_ms / 1000
    read_published(log, system, published)
    return last_revision(log, system) == published.last["revision"] and not 0 <= age_s < rest_s
