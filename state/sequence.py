"""Deduplication: a sliding window of sequence numbers per source, as in an anti-replay window (RFC 4303, 3.4.3).

A window is (top, bits): the highest accepted number, and bit i set where top - i was accepted, i < width. Memory is
`width` bits a source, whatever the traffic. Exact inside the window; below it nothing is known, so such a number is
stale, never silently a duplicate. Cost: O(1) a number alone, vectorised for the long runs of a batch.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from state.errors import CorruptStateError

# Runs shorter than this are judged one by one: below it the fixed cost of numpy's calls outweighs the loop.
VECTOR_FROM = 48


class Verdict(IntEnum):
    """What a sequence number is against its source's window."""

    NEW = 0
    DUPLICATE = 1
    STALE = 2
    BAD = 3


class Windows:
    """The windows of all sources of one partition.

    `width`: numbers a window remembers. `jump`: the largest step upwards that is believed. Both are limits of the
    catalogue, since they decide acceptance.
    """

    def __init__(self, width: int, jump: int, stored: dict[str, str] | None = None) -> None:
        self.width = width
        self.jump = jump
        self._mask = (1 << width) - 1
        self._windows: dict[str, tuple[int, int]] = {}
        self._touched: set[str] = set()
        for source, text in (stored or {}).items():
            top, _, bits = text.partition(":")
            try:
                self._windows[source] = (int(top), int(bits, 16) & self._mask)
            except ValueError:
                raise CorruptStateError(f"sequence window of source {source!r}", text) from None

    def judge(self, source: str, seq: int) -> Verdict:
        """Verdict on one number; changes nothing."""
        window = self._windows.get(source)
        if window is None:
            return Verdict.NEW
        top, bits = window
        if seq > top:
            return Verdict.BAD if seq - top > self.jump else Verdict.NEW
        if seq <= top - self.width:
            return Verdict.STALE
        return Verdict.DUPLICATE if bits >> (top - seq) & 1 else Verdict.NEW

    def mark(self, source: str, seq: int) -> None:
        """Record `seq` as accepted. Only for a number that `judge` calls NEW."""
        window = self._windows.get(source)
        if window is None:
            self._windows[source] = (seq, 1)
        else:
            top, bits = window
            if seq > top:
                step = seq - top
                self._windows[source] = (seq, (bits << step & self._mask if step < self.width else 0) | 1)
            else:
                self._windows[source] = (top, bits | 1 << (top - seq))
        self._touched.add(source)

    def admit(self, source: str, seqs: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Judge and mark a run of numbers of one source, int64[n] in log order; uint8[n] of `Verdict`."""
        if len(seqs) >= VECTOR_FROM:
            verdicts = self._admit_run(source, seqs)
            if verdicts is not None:
                return verdicts
        out = np.zeros(len(seqs), dtype=np.uint8)
        for i, seq in enumerate(seqs.tolist()):
            verdict = self.judge(source, seq)
            if verdict is Verdict.NEW:
                self.mark(source, seq)
            else:
                out[i] = verdict
        return out

    def _admit_run(self, source: str, seqs: NDArray[np.int64]) -> NDArray[np.uint8] | None:
        """The same for a long run at once; None where a jump makes the order of single steps matter."""
        n = len(seqs)
        old_top, old_bits = self._windows.get(source, (int(seqs[0]) - 1, 0))
        reach = np.empty(n, dtype=np.int64)  # the top before each number, if none is refused as a jump
        reach[0] = old_top
        np.maximum.accumulate(seqs[:-1], out=reach[1:])
        np.maximum(reach[1:], old_top, out=reach[1:])
        # seqs and reach lie in -1..2^63-1, so their difference fits an int64.
        if np.any(seqs - reach > self.jump):
            return None
        out = np.zeros(n, dtype=np.uint8)
        ahead = seqs > reach
        if not ahead.all():
            seen = np.zeros(n, dtype=bool)
            back = old_top - seqs
            known = np.flatnonzero((back >= 0) & (back < self.width))
            if len(known) and old_bits:
                raw = old_bits.to_bytes((self.width + 7) // 8, "little")
                bits = np.unpackbits(np.frombuffer(raw, dtype=np.uint8), bitorder="little")
                seen[known] = bits[back[known]].astype(bool)
            _, first = np.unique(seqs, return_index=True)
            repeat = np.ones(n, dtype=bool)
            repeat[first] = False
            # A repeat of a number that was stale the first time is stale still: the top only rises.
            out[seen | repeat] = Verdict.DUPLICATE
            out[~ahead & (reach - seqs >= self.width)] = Verdict.STALE
        accepted = seqs[out == Verdict.NEW]
        if len(accepted):
            top = max(old_top, int(accepted.max()))
            step = top - old_top
            bits_now = old_bits << step & self._mask if step < self.width else 0
            place = top - accepted
            place = place[place < self.width]
            flags = np.zeros((self.width + 7) // 8 * 8, dtype=np.uint8)
            flags[place] = 1
            bits_now |= int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")
            self._windows[source] = (top, bits_now)
            self._touched.add(source)
        return out

    def take_touched(self) -> list[str]:
        """`[source, window, ...]` of the windows changed since the last call, in the stored form `<top>:<hex>`."""
        out: list[str] = []
        for source in sorted(self._touched):
            top, bits = self._windows[source]
            out += (source, f"{top}:{bits:x}")
        self._touched.clear()
        return out
