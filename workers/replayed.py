"""The state of one partition as the log alone makes it: the intake of the ingest worker, without Redis.

The one difference: dead letters are not written (they stand on their topic already), only counted.
"""

from __future__ import annotations

from collections.abc import Callable

from index.catalogue import Catalogue
from state.aggregates import Aggregates
from state.content import Content
from state.keys import Offset, Partition
from stream.batches import Batch
from stream.partition_log import PartitionLog
from workers.intake import Intake


class Replayed:
    """Grows with the log: `advance(log, end)`; `content` is what Redis must hold at its offset."""

    lost: str | None = None  # never: what `Intake` asks of an owner

    def __init__(self, partition: Partition, first: Catalogue) -> None:
        """`first`: the first catalogue in the partition's log, by which the events before its record are judged."""
        self.partition = partition
        self.content = Content()
        self._intake = Intake()
        self._catalogue = first
        self.aggregates = Aggregates(first, self.content.snapshot(partition))

    def advance(self, log: PartitionLog, end: Offset, progress: Callable[[int], None] = lambda offset: None) -> None:
        """Take in what lies below `end`; `progress` hears the offset reached. Errors: those of `log.read_to`."""
        for batch in log.read_to(end):
            self._take(batch)
            progress(self.aggregates.offset)
        content, aggregates = self.content, self.aggregates
        content.offset = aggregates.offset = end
        if end == 0:
            return
        windows = aggregates.windows.take_touched()
        content.windows.update(zip(windows[::2], windows[1::2], strict=True))
        content.counts = dict(aggregates.counts)
        content.watermark_us = aggregates.watermark_us
        content.catalogue, content.catalogue_version = self._catalogue.to_json(), self._catalogue.version

    def _take(self, batch: Batch) -> None:
        end = int(batch.offset[-1]) + 1
        while self.aggregates.offset < end:  # a catalogue record ends a share; what follows is judged by it
            for share in list(self._intake.shares(batch, {self.partition: self})):
                _, rows = self._intake.add(self.aggregates, share)
                self.content.take(rows)
                self.aggregates.offset = share.end
                if share.new_catalogue is not None:
                    self._switch(share.new_catalogue)

    def _switch(self, newer: Catalogue) -> None:
        """As an ingest worker does: a mirror made anew from what is stored."""
        content, aggregates = self.content, self.aggregates
        windows = aggregates.windows.take_touched()
        content.windows.update(zip(windows[::2], windows[1::2], strict=True))
        content.counts, content.watermark_us = dict(aggregates.counts), aggregates.watermark_us
        content.offset = aggregates.offset
        self._catalogue = newer
        self.aggregates = Aggregates(newer, content.snapshot(self.partition))
