"""The window of sequence numbers of one source in one partition (docs/formats.md section 2, check 13), as a plain set.

Invariant: `marks` holds the accepted numbers above `top - width`, `top` among them; `width` is the window that was in
force when the last of them was accepted. Cost: 4,096 numbers, about 0.4 MB a source and partition.
"""

from __future__ import annotations


class Window:
    """What was accepted lately from one source; made by its first accepted number."""

    __slots__ = ("marks", "top", "width")

    def __init__(self, seq: int, width: int) -> None:
        """`seq` is accepted, whatever it is; `width` in sequence numbers."""
        self.top = seq
        self.width = width
        self.marks = {seq}

    def copy(self) -> Window:
        """Another with the same marks."""
        other = Window(self.top, self.width)
        other.marks = set(self.marks)
        return other

    def judge(self, seq: int, width: int, jump: int) -> str | None:
        """None when `seq` is new, else `duplicate` or the reject reason. Changes nothing."""
        if seq > self.top:
            return "bad-sequence" if seq - self.top > jump else None
        if seq <= self.top - width:
            return "stale-sequence"
        return "duplicate" if seq in self.marks else None

    def accept(self, seq: int, width: int) -> None:
        """Mark a number that was judged new, and forget those that lie below the window now."""
        before = self.top
        self.marks.add(seq)
        self.top = max(before, seq)
        if width == self.width and self.top - before <= width:
            for gone in range(before - width + 1, self.top - width + 1):
                self.marks.discard(gone)
        else:
            self.width = width
            self.marks = {mark for mark in self.marks if mark > self.top - width}

    def bits(self) -> int:
        """Bit i set: top - i was accepted."""
        return sum(1 << (self.top - mark) for mark in self.marks)
