"""What became of a batch's events, by outcome, reason and source: counted once a batch, told when it is in Redis.

A source is text that arrives with the data, so there is no bound on how many there are. What is counted is the pattern
of the catalogue's `sources.csv` that it matches.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from index.catalogue import Catalogue, matches
from state.sequence import Verdict
from state.valid import Valid

PATTERNS = 100  # of the catalogue that are told apart
KEPT = 10_000  # sources whose label is remembered; then all are forgotten, and matched anew
REPLAYED = "dlq/*"  # repaired dead letters: `dlq/<partition>/<block>`
OTHER, UNREADABLE = "other", "unreadable"


@dataclass(slots=True)
class Tally:
    """Of one batch. `sources`: label -> [accepted, duplicate, rejected]; `first_ms`: Kafka time of its first record."""

    accepted: int = 0
    duplicates: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    sources: dict[str, list[int]] = field(default_factory=dict)
    first_ms: int = 0

    @property
    def rejected(self) -> int:
        """Events rejected, for whatever reason."""
        return self.reasons.total()

    @property
    def events(self) -> int:
        """All events of the batch."""
        return self.accepted + self.duplicates + self.rejected


class SourceLabels:
    """The label of a source: the first pattern that it matches."""

    def __init__(self, catalogue: Catalogue) -> None:
        patterns = list(dict.fromkeys(line.source for line in catalogue.sources))[:PATTERNS]
        self._patterns = list(dict.fromkeys([*patterns, REPLAYED]))
        self._known: dict[str, str] = {}

    def label(self, source: str) -> str:
        """The pattern that `source` matches, or `other`."""
        found = self._known.get(source)
        if found is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            found = next((pattern for pattern in self._patterns if matches(pattern, source)), OTHER)
            self._known[source] = found
        return found

    def count(self, tally: Tally, valid: Valid, verdict: np.ndarray, rejected: list[str | None]) -> None:
        """Add to `tally.sources` the events of `valid`, by their verdicts, and the sources of rejected ones.

        Verdicts beyond DUPLICATE are rejects, and stand in `rejected`; None there: no source can be read.
        """
        for place, which in enumerate((Verdict.NEW, Verdict.DUPLICATE)):
            if place == 1 and not tally.duplicates:
                continue
            whole = tally.accepted == len(valid)
            numbers = np.bincount(valid.source if whole else valid.source[verdict == which])
            for source in np.flatnonzero(numbers).tolist():
                self._row(tally, valid.sources[source])[place] += int(numbers[source])
        for text in rejected:
            self._row(tally, text)[2] += 1

    def _row(self, tally: Tally, source: str | None) -> list[int]:
        label = UNREADABLE if source is None else self.label(source)
        return tally.sources.setdefault(label, [0, 0, 0])
