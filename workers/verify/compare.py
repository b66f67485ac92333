"""Published against recomputed: cells, counts and windows in Redis, values on `index-updates`, the revisions. Tables:
see tables.py.

A key that is missing on either side is a difference. An entity has an `index-updates` record in a period when at least
one cell lies below both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from typing import Any

from workers.verify.accept import Snapshot
from workers.verify.batch import Batch, Value
from workers.verify.published import RING, Published
from workers.verify.redis_state import PartitionState
from workers.verify.report import Report
from workers.verify.tree import ROOT


def compare_redis(
    report: Report,
    states: Mapping[int, PartitionState],
    snapshots: Mapping[int, Snapshot],
    batch: Batch,
    cut: Mapping[int, int],
) -> None:
    """Every cell and day cell, counts, watermark, catalogue version and sequence window, each partition at Redis's own
    offset.
    """
    _rows(report, "cells", "cell", states, batch.cells(cut))
    _rows(report, "days", "day", states, batch.days())
    for partition, state in states.items():
        snapshot, where = snapshots[partition], f"partition {partition}"
        for name in sorted(snapshot.counts.keys() | state.counts.keys()):
            report.same("counts", "count", f"{where} {name}", state.counts.get(name, 0), snapshot.counts.get(name, 0))
        report.same("watermarks", "watermark", where, state.watermark, snapshot.watermark)
        if snapshot.catalogue_met and snapshot.catalogue is not None:
            report.same("catalogues", "catalogue", where, state.catalogue, snapshot.catalogue.version)
        for source in sorted(snapshot.windows.keys() | state.windows.keys()):
            mine, theirs = snapshot.windows.get(source), state.windows.get(source)
            report.compared["windows"] += 1
            if mine != theirs:
                report.differ("window", f"{where} {source}", *(w and f"{w[0]}:{w[1]:x}" for w in (theirs, mine)))


def _rows(
    report: Report,
    what: str,
    kind: str,
    states: Mapping[int, PartitionState],
    recomputed: Iterable[tuple[int, str, str, str]],
) -> None:
    prefix = f"{what}:"
    held = {
        (partition, row, name): text
        for partition, state in states.items()
        for row, fields in state.rows.items()
        if row.startswith(prefix)
        for name, text in fields.items()
    }
    for partition, row, name, text in recomputed:
        report.same(what, kind, f"partition {partition} {row} {name}", held.pop((partition, row, name), None), text)
    for (partition, row, name), text in held.items():
        report.same(what, kind, f"partition {partition} {row} {name}", text, None)
    for partition, state in states.items():
        for row, fields in state.rows.items():
            if row.startswith(prefix) and not fields:
                report.differ(kind, f"partition {partition} {row}", None, "listed in `rows`, and not there")


def compare_revision(
    report: Report, published: Published, snapshots: Iterable[Snapshot], watermark: int | None
) -> None:
    """Counts, watermark and catalogue of the last revision at its own offsets, and the ring of revisions."""
    last, counts = published.last, Counter[str]()
    for snapshot in snapshots:
        counts.update(snapshot.counts)
        if snapshot.catalogue_met and snapshot.catalogue is not None and snapshot.catalogue.version > last["catalogue"]:
            report.differ("catalogue", f"revision {report.revision}", last["catalogue"], snapshot.catalogue.version)
    report.counts = {name: n for name, n in sorted(counts.items()) if n}
    said = {f"rejected:{reason}": n for reason, n in last["counts"].get("rejected", {}).items()}
    said |= {name: last["counts"].get(name, 0) for name in ("accepted", "duplicate")}
    for name in sorted(said.keys() | counts.keys()):
        report.same("counts", "count", f"revision {report.revision} {name}", said.get(name, 0), counts.get(name, 0))
    report.same("watermarks", "watermark", f"revision {report.revision}", last["watermark"], watermark)

    before = 0
    for key, number in published.numbers:
        report.compared["revisions"] += 1
        if number <= before:
            report.differ("revision", f"{key} of {number}", "comes again or too late", f"above {before}")
        if key != f"{report.system}/{number % RING}":
            report.differ("revision", f"number {number}", key, f"{report.system}/{number % RING}")
        before = max(before, number)
    held = {number for _, number in published.numbers}
    for number in range(max(1, before - RING + 1), before):
        if number not in held:
            report.differ("revision", f"number {number}", None, "each of the last 1000")


def compare_values(report: Report, published: Published, values: Iterable[Value], inexact: Set[str]) -> None:
    """Every value, node, coverage, growth, reason and label. `inexact`: the nodes that a logarithm or a power goes
    into.
    """
    left = dict(published.updates)
    for value in values:
        key = value.entity, value.period
        update = left.pop(key, None)
        where = f"{value.entity}/{value.period}"
        if update is not None:
            _value(report, where, update, value, inexact)
        elif key not in published.moved_on:
            report.compared["values"] += 1
            report.differ("value", where, None, value.value if value.reason is None else value.reason)
    for (entity, period), update in left.items():
        report.compared["values"] += 1
        report.differ("value", f"{entity}/{period}", update["value"], "no data there: no record")


def _value(report: Report, where: str, update: Mapping[str, Any], value: Value, inexact: Set[str]) -> None:
    root = report.near if ROOT in inexact else report.same
    root("values", "value", where, update["value"], value.value)
    report.same("coverages", "coverage", where, update["coverage"], value.coverage)
    nodes = value.nodes
    for name, said in update["nodes"].items():
        if name not in nodes:
            report.same("values", "node", f"{where} {name}", said, "no such node")
    for name, v in nodes.items():
        same = report.near if name in inexact else report.same
        same("values", "node", f"{where} {name}", update["nodes"].get(name, "missing"), v)
    why = dict(update["why"])
    report.same("reasons", "reason", f"{where} value", why.pop("value", None), value.reason)
    for measure, (growth, reason) in value.growth.items():
        root("growths", "growth", f"{where} {measure}", update["growth"].get(measure), growth)
        report.same("reasons", "reason", f"{where} {measure}", why.pop(measure, None), reason)
    for measure in why:
        report.differ("reason", f"{where} {measure}", why[measure], None)
    report.same("labels", "days", where, update["days"], value.days)
    report.same("labels", "status", where, update["status"] == "provisional", value.open)
    report.same("labels", "kind", where, update["kind"], value.kind)
