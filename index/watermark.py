"""The watermark of a system, from those of its partitions (docs/formats.md section 4)."""

from collections.abc import Iterable

IDLE_US = (
    86_400_000_000  # a partition that lies over a day of event time behind the highest is idle, and holds nothing back
)


def system_watermark(partitions: Iterable[int | None]) -> int | None:
    """Of the partitions that have one (us).

    The lowest that is at most a day below the highest; None if none has one.
    """
    known = [watermark for watermark in partitions if watermark is not None]
    if not known:
        return None
    return min(watermark for watermark in known if watermark >= max(known) - IDLE_US)
