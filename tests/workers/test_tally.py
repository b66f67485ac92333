"""What a batch's events are counted under: bounded, whatever sources come."""

from __future__ import annotations

import numpy as np

from index.catalogue import Permission
from state.sequence import Verdict
from state.valid import Valid
from tests.shops import shops
from workers.tally import PATTERNS, SourceLabels, Tally

NONE = np.zeros(0, dtype=np.int32)


def valid(sources: list[str], source: list[int]) -> Valid:
    zeros = np.zeros(len(source), dtype=np.int64)
    return Valid(sources, np.array(source, dtype=np.int32), zeros, NONE, NONE, NONE, zeros, zeros, NONE, NONE)


def test_the_first_line_that_matches():
    labels = SourceLabels(shops(sources=(Permission("a*", ""), Permission("*b", ""), Permission("[x]?", ""))))
    assert [labels.label(s) for s in ("ab", "a", "xb", "b", "c", "dlq/3", "[x]?", "x", "a\nb")] == [
        "a*", "a*", "*b", "*b", "other", "dlq/*", "[x]?", "other", "a*",
    ]  # fmt: skip


def test_the_number_of_labels_has_a_bound():
    labels = SourceLabels(shops(sources=tuple(Permission(f"s{i}-*", "") for i in range(PATTERNS + 50))))
    found = {labels.label(f"s{i}-{j}") for i in range(PATTERNS + 50) for j in range(300)}
    assert len(found) == PATTERNS + 1
    assert "other" in found


def test_by_source_and_outcome():
    labels = SourceLabels(shops())
    events = valid(["till-1", "till-2", "x"], [0, 0, 1, 2, 2, 0])
    verdict = np.array([Verdict.NEW, Verdict.DUPLICATE, Verdict.NEW, Verdict.NEW, Verdict.STALE, 4], dtype=np.uint8)
    tally = Tally(accepted=3, duplicates=1)
    tally.reasons.update({"stale-sequence": 1, "overflow": 1, "malformed": 2})
    labels.count(tally, events, verdict, ["x", "till-1", "mute", None])
    assert tally.sources == {"till-*": [2, 1, 1], "other": [1, 0, 1], "mute": [0, 0, 1], "unreadable": [0, 0, 1]}
    assert (tally.rejected, tally.events) == (4, 8)


def test_a_batch_without_events():
    tally = Tally()
    SourceLabels(shops()).count(tally, valid([], []), np.zeros(0, dtype=np.uint8), [])
    assert tally.sources == {}
