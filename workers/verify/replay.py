"""The log of events, read again once for all systems: which events count, and what stood where at each cut."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from stream.topics import EVENTS
from workers.verify.accept import COLUMNS, Accepted, Judge
from workers.verify.batch import CHUNK_EVENTS, Batch
from workers.verify.catalogue import Catalogue, record_catalogue
from workers.verify.checks import Checks
from workers.verify.errors import VerifyError
from workers.verify.log import Log
from workers.verify.report import Report

PROGRESS_S = 1.0

Progress = Callable[[str], None]


def replay(
    log: Log,
    report: Report,
    cuts: Mapping[int, Iterable[int]],
    batch: Batch,
    say: Progress,
    skipped: Mapping[int, Sequence[str]] | None = None,
) -> dict[int, Judge]:
    """Read each partition up to the last of its cuts (next offsets), and decide which events count; they go to `batch`.

    The judges have a snapshot at each cut. `skipped`: what Redis has written down of offsets that were let go.
    VerifyError when the log has lost its beginning; a log that ends before a cut is a difference.
    """
    accepted = Accepted()
    ends = {p: max(offsets) for p, offsets in cuts.items()}
    bounds = log.bounds(EVENTS, cuts)
    highs = {p: high for p, (_, high) in bounds.items()}
    check_whole({p: low for p, (low, _) in bounds.items()}, skipped or {})
    for p, high in highs.items():
        if ends[p] > high:
            report.differ("log", f"{EVENTS}/{p}: next offset", ends[p], f"the log ends at {high}")
    first = first_catalogues(log, {p: highs[p] for p in cuts if ends[p]})
    judges = {p: Judge(p, first.get(p), accepted, offsets) for p, offsets in cuts.items()}
    told, read = time.monotonic(), 0
    # Millions of small objects and no cycle among them: looking for one would take as long as all the rest.
    collecting = gc.isenabled()
    gc.disable()
    try:
        for record in log.read(EVENTS, {p: min(ends[p], highs[p]) for p in cuts}):
            judges[record.partition].record(record.offset, record.timestamp_ms, record.key, record.value)
            read += 1
            if len(accepted.rows) >= CHUNK_EVENTS * len(COLUMNS):
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
    return judges


def check_whole(lows: Mapping[int, int], skipped: Mapping[int, Sequence[str]]) -> None:
    """VerifyError where a log does not reach back to its beginning: what counts there cannot be decided again.

    `lows`: the first offset held, by partition; `skipped` is told besides: what was never counted at all.
    """
    said = [f"{EVENTS}/{p} begins at offset {low}" for p, low in sorted(lows.items()) if low > 0]
    gone = [f"partition {p}: {text}" for p, texts in sorted(skipped.items()) for text in texts]
    if said or gone:
        text = "; ".join(said) or "the log is not whole"
        text += ": what came before is lost, and cannot be recomputed; nothing was compared"
        raise VerifyError(text + ("" if not gone else ". Skipped by a person, never counted: " + "; ".join(gone)))


def catalogue_of(judges: Iterable[Judge], version: int) -> Catalogue:
    """The catalogue of that version, from whichever partition had it in force at one of the cuts."""
    for judge in judges:
        for catalogue in judge.catalogues:
            if catalogue.version == version:
                return catalogue
    raise VerifyError(f"the log holds no catalogue of version {version}, which the last revision names")


def first_catalogues(log: Log, highs: dict[int, int]) -> dict[int, Checks]:
    """Of each partition, the checks of its first catalogue record: it judges what lies before it, too."""
    found: dict[int, Checks] = {}
    made: dict[int, Checks] = {}
    for record in log.read(EVENTS, highs, done=lambda partition: partition in found):
        if record.partition not in found:
            catalogue = record_catalogue(record.key, record.value)
            if catalogue is not None:
                found[record.partition] = made.setdefault(id(catalogue), Checks(catalogue))
    return found
