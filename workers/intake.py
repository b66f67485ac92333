"""From a read to what each partition gets: decoded, checked, split, and the dead letters written out.

The usual read (one catalogue, only plain single events) is decoded and checked in one go for all its partitions, and
split by views. Anything else is taken partition by partition. A catalogue record ends its partition's share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from index.catalogue import Catalogue
from state.aggregates import OVERFLOW, Aggregates
from state.keys import Offset, Partition
from state.sequence import Verdict
from state.valid import Valid
from stream.batches import Batch
from stream.catalogue_log import catalogue_of, is_catalogue
from stream.events import Columns, decode, decode_plain, raw_elements
from stream.letters import Letter
from stream.reasons import MALFORMED_TIME, NO_REASON, Reason, Reject, detail_of
from stream.validate import Checked, Validator
from workers.tally import SourceLabels, Tally

log = structlog.get_logger(__name__)

_OF_VERDICT = {
    int(Verdict.STALE): Reason.STALE_SEQUENCE,
    int(Verdict.BAD): Reason.BAD_SEQUENCE,
    OVERFLOW: Reason.OVERFLOW,
}


@dataclass(slots=True)
class Share:
    """What one partition gets of a read. Events are rows `begin` up to `stop` of `columns` and `checked`.

    Message numbers are places in `batch`; `end` is the next offset once the share is flushed. `first_ms`: Kafka's time
    of its first message; `tally` is there when the share has been added.
    """

    partition: Partition
    end: Offset
    batch: Batch
    columns: Columns
    checked: Checked
    begin: int
    stop: int
    rejects: list[Reject]
    new_catalogue: Catalogue | None = None
    first_ms: int = 0
    tally: Tally = field(default_factory=Tally)


class Mirror(Protocol):
    """What is asked of an owner (`Owned`), or of who replays a log beside one."""

    @property
    def aggregates(self) -> Aggregates:
        """The partition in memory; what lies below its offset is skipped."""
        ...

    @property
    def lost(self) -> str | None:
        """Why nothing is taken for it any more, None while it is."""
        ...


class Intake:
    """Decodes and checks; remembers a validator per catalogue."""

    def __init__(self) -> None:
        self._validators: dict[str, Validator] = {}
        self._labels: tuple[str, SourceLabels] | None = None

    def _labels_of(self, catalogue: Catalogue) -> SourceLabels:
        if self._labels is None or self._labels[0] != catalogue.digest:
            self._labels = catalogue.digest, SourceLabels(catalogue)
        return self._labels[1]

    def _validator(self, catalogue: Catalogue) -> Validator:
        validator = self._validators.get(catalogue.digest)
        if validator is None:
            if len(self._validators) > 3:  # versions in force at once: two, while one gives way to the next
                self._validators.clear()
            validator = self._validators[catalogue.digest] = Validator(catalogue)
        return validator

    def shares(self, batch: Batch, owned: Mapping[Partition, Mirror]) -> Iterator[Share]:
        """The shares of the partitions that are owned; what lies below a mirror's offset is skipped (read before)."""
        runs = _runs(batch, owned)
        if not runs:
            return
        catalogue = owned[runs[0][0]].aggregates.catalogue
        covered = sum(stop - begin for _, begin, stop in runs) == len(batch)
        if covered and all(owned[p].aggregates.catalogue.digest == catalogue.digest for p, _, _ in runs):
            limits = catalogue.limits
            columns = decode_plain(batch.values, min(limits.event_bytes, limits.message_bytes))
            if columns is not None:
                checked = self._validator(catalogue).check(columns, batch.timestamp_ms)
                for partition, begin, stop in runs:
                    end = Offset(int(batch.offset[stop - 1]) + 1)
                    first_ms = int(batch.timestamp_ms[begin])
                    yield Share(partition, end, batch, columns, checked, begin, stop, [], None, first_ms)
                return
        for partition, begin, stop in runs:
            yield self._share(batch, partition, begin, stop, owned[partition].aggregates.catalogue)

    def _share(self, batch: Batch, partition: Partition, begin: int, stop: int, catalogue: Catalogue) -> Share:
        """One partition's run alone, up to the first record that brings a newer catalogue."""
        first_ms = int(batch.timestamp_ms[begin])
        newer: Catalogue | None = None
        kept: list[int] = []
        rejects: list[Reject] = []
        for i in range(begin, stop):
            value = batch.values[i]
            if not is_catalogue(batch.messages[i].key(), value):
                kept.append(i)
                continue
            found = catalogue_of(value or b"")
            if found is None:
                kept.append(i)  # a message like any other
            elif (refusal := catalogue.refuses(found)) is None:
                newer, stop = found, i + 1
                break
            elif found.version > catalogue.version:
                log.warning("catalogue refused", partition=partition, catalogue=found.version, reason=refusal)
        limits = catalogue.limits
        columns = decode([batch.values[i] for i in kept], limits.message_bytes, limits.event_bytes)
        places = np.array(kept, dtype=np.int64)
        checked = self._validator(catalogue).check(columns, batch.timestamp_ms[places[columns.message]])
        columns.message = places[columns.message].astype(np.int32)
        rejects += (reject._replace(message=kept[reject.message]) for reject in columns.rejects)
        end = Offset(int(batch.offset[stop - 1]) + 1)
        return Share(partition, end, batch, columns, checked, 0, len(columns), rejects, newer, first_ms)

    def add(self, aggregates: Aggregates, share: Share) -> tuple[list[Letter], list[list[str | int]]]:
        """Add a share's events to the partition's mirror; (dead letters, changed rows for the flush). Fills `tally`."""
        failed = share.checked.failed[share.begin : share.stop]
        valid, where = _select(share.checked.valid, failed, share.begin, share.stop)
        outcome, rows = aggregates.combine(valid)
        rejects = list(share.rejects)
        refused: dict[int, int] = {}
        if outcome.accepted + outcome.duplicates < len(valid):
            for k in np.flatnonzero(outcome.verdict > Verdict.DUPLICATE).tolist():
                refused[int(where[k])] = _OF_VERDICT[int(outcome.verdict[k])]
        for k in np.flatnonzero(failed != NO_REASON).tolist():
            reason = int(failed[k])
            refused[share.begin + k] = Reason.MALFORMED if reason == MALFORMED_TIME else Reason(reason)
        parts: dict[int, list[bytes]] = {}
        for row in sorted(refused):
            rejects.append(_reject(share, row, Reason(refused[row]), aggregates.catalogue, parts))
        letters = []
        for reject in rejects:
            aggregates.reject(reject.reason.code)
            message = reject.message
            letters.append(
                Letter(
                    share.partition,
                    int(share.batch.offset[message]),
                    reject.element,
                    reject.reason.code,
                    reject.detail,
                    int(share.batch.timestamp_ms[message]),
                    reject.raw,
                )
            )
        share.tally = tally = Tally(outcome.accepted, outcome.duplicates, first_ms=share.first_ms)
        tally.reasons.update(letter.reason for letter in letters)
        unread: list[str | None] = [None] * len(share.rejects)
        sources = [share.columns.source[row] for row in refused]
        self._labels_of(aggregates.catalogue).count(tally, valid, outcome.verdict, [*sources, *unread])
        return letters, rows


def _runs(batch: Batch, owned: Mapping[Partition, Mirror]) -> list[tuple[Partition, int, int]]:
    """(partition, begin, stop) of each owned partition's messages in `batch` that are new to its mirror."""
    n = len(batch)
    starts = [0, *(np.flatnonzero(batch.partition[1:] != batch.partition[:-1]) + 1).tolist()] if n else []
    runs = []
    for begin, stop in zip(starts, [*starts[1:], n], strict=True):
        partition = Partition(int(batch.partition[begin]))
        mine = owned.get(partition)
        if mine is None or mine.lost:
            continue
        begin += int(np.searchsorted(batch.offset[begin:stop], mine.aggregates.offset))
        if begin < stop:
            runs.append((partition, begin, stop))
    return runs


def _select(valid: Valid, failed: NDArray[np.uint8], begin: int, stop: int) -> tuple[Valid, NDArray[np.intp]]:
    """The rows of `valid` in begin..stop that passed, and their row numbers; views where all of them passed."""
    if bool((failed == NO_REASON).all()):
        return valid.rows(slice(begin, stop)), np.arange(begin, stop)
    where = begin + np.flatnonzero(failed == NO_REASON)
    return valid.rows(where), where


def _reject(share: Share, row: int, reason: Reason, catalogue: Catalogue, parts: dict[int, list[bytes]]) -> Reject:
    columns = share.columns
    message, element = int(columns.message[row]), int(columns.element[row])
    if message not in parts:
        parts[message] = raw_elements(share.batch.values[message] or b"")
    detail = detail_of(reason, catalogue=catalogue, **columns.fields(row))
    return Reject(message, element, reason, detail, parts[message][element])
