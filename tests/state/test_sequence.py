"""Sequence windows: a run at once, one number at a time and a plain set of numbers agree, also from the stored form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import state.sequence
from state.errors import CorruptStateError
from state.sequence import VECTOR_FROM, Verdict, Windows
from tests.state.ledger import Window

TOP = 2**63 - 1
NEW, DUPLICATE, STALE, BAD = Verdict.NEW, Verdict.DUPLICATE, Verdict.STALE, Verdict.BAD


class Oracle(Window):
    """The oracle's window, in the words of `Verdict`."""

    def take(self, seq: int) -> Verdict:
        outcome = self.judge(seq)
        if outcome == "new":
            self.accept(seq)
        return {"new": NEW, "duplicate": DUPLICATE, "stale-sequence": STALE, "bad-sequence": BAD}[outcome]


def one_by_one(windows: Windows, source: str, seqs: list[int]) -> list[int]:
    out = []
    for seq in seqs:
        verdict = windows.judge(source, seq)
        if verdict is NEW:
            windows.mark(source, seq)
        out.append(int(verdict))
    return out


def stored_form(windows: Windows) -> dict[str, str]:
    flat = windows.take_touched()
    return dict(zip(flat[::2], flat[1::2], strict=True))


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, int, list[list[int]]]:
    """(width, jump, batches of one source): mostly forward, with repeats, steps back across the window, and jumps."""
    width = draw(st.sampled_from([1, 2, 7, 8, 9, 64, 100, 4096]))
    jump = draw(st.sampled_from([width, 2 * width, 10 * width, 2**48]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    now = draw(st.sampled_from([0, width - 1, 10**6, 2**62, TOP - 3 * width]))
    weights = np.array(
        draw(st.sampled_from([[20, 2, 2, 1, 0, 0], [5, 5, 5, 2, 2, 0], [30, 1, 1, 0, 0, 1], [1, 1, 1, 1, 1, 1]]))
    )
    batches = []
    for _ in range(draw(st.integers(1, 4))):
        seqs: list[int] = []
        n = int(rng.choice([1, VECTOR_FROM - 1, VECTOR_FROM, VECTOR_FROM + 1, 150]))
        for what in rng.choice(6, size=n, p=weights / weights.sum()).tolist():
            ahead = now
            if what == 0:
                ahead = now = now + int(rng.integers(1, 3))
            elif what == 1:
                ahead = now - int(rng.integers(0, 4))  # a repeat, or a hole filled
            elif what == 2:
                ahead = now - int(rng.integers(0, 2 * width + 2))
            elif what == 3:
                ahead = now - width + int(rng.integers(-2, 3))  # at the lower edge
            elif what == 4:
                ahead = now = now + int(rng.choice([width - 1, width, width + 1]))
            else:
                ahead = now + jump + int(rng.integers(-1, 3))  # at the edge of what is believed
                now = ahead if rng.random() < 0.5 else now
            now = min(now, TOP)
            seqs.append(min(max(ahead, 0), TOP))
        batches.append(seqs)
    return width, jump, batches


@given(runs())
@settings(max_examples=150)
def test_a_run_is_admitted_as_its_numbers_one_by_one(case: tuple[int, int, list[list[int]]]):
    width, jump, batches = case
    whole, single, oracle = Windows(width, jump), Windows(width, jump), Oracle(width, jump)
    restored = Windows(width, jump)
    for seqs in batches:
        wanted = [int(oracle.take(seq)) for seq in seqs]
        assert one_by_one(single, "s", seqs) == wanted
        assert whole.admit("s", np.array(seqs, dtype=np.int64)).tolist() == wanted
        # A worker that takes over from the stored form decides alike.
        assert restored.admit("s", np.array(seqs, dtype=np.int64)).tolist() == wanted
        stored = stored_form(restored)
        assert stored == stored_form(whole) == stored_form(single) == ({"s": oracle.stored()} if 0 in wanted else {})
        if stored:
            restored = Windows(width, jump, stored)


@given(runs(), st.data())
@settings(max_examples=40)
def test_where_a_batch_ends_changes_nothing(case: tuple[int, int, list[list[int]]], data: st.DataObject):
    width, jump, batches = case
    seqs = [seq for batch in batches for seq in batch]
    wanted = Windows(width, jump).admit("s", np.array(seqs, dtype=np.int64)).tolist()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(seqs)), max_size=4), label="cuts"))
    windows, found = Windows(width, jump), []
    for begin, end in zip([0, *cuts], [*cuts, len(seqs)], strict=True):
        if begin < end:
            found += windows.admit("s", np.array(seqs[begin:end], dtype=np.int64)).tolist()
    assert found == wanted


LONG = [*range(1000, 1000 + VECTOR_FROM)]


@pytest.mark.parametrize("first", [[1000], LONG], ids=["of one", "of many"])
@pytest.mark.parametrize("vector_from", [1, VECTOR_FROM], ids=["at once", "one by one"])
def test_by_hand(first: list[int], vector_from: int, monkeypatch: pytest.MonkeyPatch):
    """Width 8: from 993 up to 1000 is known, all below is stale; a step by over 100 is not believed."""
    monkeypatch.setattr(state.sequence, "VECTOR_FROM", vector_from)

    def window() -> Windows:
        windows = Windows(8, 100)
        windows.admit("s", np.array(first, dtype=np.int64))
        return windows

    def admit(windows: Windows, *seqs: int) -> list[int]:
        return windows.admit("s", np.array(seqs, dtype=np.int64)).tolist()

    top = first[-1]
    known = top - 1 in first
    assert admit(window(), top) == [DUPLICATE]
    assert admit(window(), top - 1) == [DUPLICATE if known else NEW]
    assert admit(window(), top - 7) == [DUPLICATE if known else NEW]
    assert admit(window(), top - 8) == [STALE]
    assert admit(window(), 0) == [STALE]
    assert admit(window(), top + 100) == [NEW]
    assert admit(window(), top + 101) == [BAD]
    assert admit(window(), top + 101, top + 1, top + 101) == [BAD, NEW, NEW]
    assert admit(window(), top + 1, top + 8, top, top + 1) == [NEW, NEW, STALE, DUPLICATE]
    assert admit(window(), top + 9, top + 1, top + 2, top + 2) == [NEW, STALE, NEW, DUPLICATE]
    assert admit(window(), top + 8, top + 16, top + 8, top + 9) == [NEW, NEW, STALE, NEW]


def test_the_first_number_may_be_any():
    """A run: backwards from the first, and none is stale before the window is full."""
    for first in (0, 5, 2**48 * 3, TOP):
        for length in (1, 100):
            seqs = [first - i for i in range(length) if first - i >= 0]
            oracle = Oracle(8, 100)
            assert Windows(8, 100).admit("s", np.array(seqs, dtype=np.int64)).tolist() == [oracle.take(s) for s in seqs]


def test_the_whole_range_of_numbers_fits():
    """From 0 to 2^63 - 1 in one run: no difference wraps around."""
    seqs = [0] * 50 + [TOP] * 50 + [0]
    windows = Windows(64, 2**62)
    assert windows.admit("s", np.array(seqs, dtype=np.int64)).tolist() == [NEW] + [DUPLICATE] * 49 + [BAD] * 50 + [
        DUPLICATE
    ]
    assert Windows(64, 2**62).admit("s", np.array(seqs[50:], dtype=np.int64)).tolist() == [NEW] + [DUPLICATE] * 49 + [
        STALE
    ]


def test_sources_have_windows_of_their_own():
    windows = Windows(8, 100)
    for source in ("b", "a", "城 "):
        assert windows.admit(source, np.array([7, 7])).tolist() == [NEW, DUPLICATE]
    windows.admit("a", np.array([8]))
    assert windows.take_touched() == ["a", "8:3", "b", "7:1", "城 ", "7:1"]
    assert windows.take_touched() == []
    windows.admit("b", np.array([7]))
    assert windows.take_touched() == [], "a duplicate changes nothing that would have to be written"


def test_a_refused_number_leaves_no_mark():
    windows = Windows(8, 100, {"s": "1000:1"})
    assert one_by_one(windows, "s", [5000, 900, 1000]) == [BAD, STALE, DUPLICATE]
    assert windows.judge("s", 1001) is NEW
    assert windows.judge("s", 1001) is NEW, "judging marks nothing"
    assert windows.take_touched() == []


def test_a_window_that_was_wider_is_cut():
    """The catalogue's width is in force, whatever the width was when it was stored."""
    stored = {"s": f"1000:{0xFFFF_FFFF:x}"}
    windows = Windows(4, 100, stored)
    assert one_by_one(windows, "s", [997, 996, 1001]) == [DUPLICATE, STALE, NEW]
    assert stored_form(windows) == {"s": f"1001:{0b1111:x}"}
    run = [997, 996, *range(1001, 1001 + VECTOR_FROM)]
    found = Windows(4, 100, stored).admit("s", np.array(run, dtype=np.int64)).tolist()
    assert found == [DUPLICATE, STALE, *[NEW] * VECTOR_FROM]


@pytest.mark.parametrize("text", ["", "7", ":", "7:", ":1", "x:1", "7:xyz", "7.0:1"])
def test_what_cannot_be_read_is_named(text: str):
    with pytest.raises(CorruptStateError, match="sequence window of source 'pay'"):
        Windows(8, 100, {"pay": text})
