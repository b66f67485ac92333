"""The transactional producer of a system, on a real broker."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from uuid import uuid4

import pytest

from stream.errors import PublisherFenced
from stream.publisher import Publisher, Record
from stream.topics import REVISIONS, ensure_topics
from tests.waiting import eventually


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_a_fenced_publisher_goes_with_its_last_user(kafka: str) -> None:
    """Found by the chaos trial (a zombie that wakes up, again and again): 5 threads and 8 descriptors stayed of each,
    since a worker's cycle collector seldom runs.
    """
    system = f"fenced-{uuid4()}"
    ensure_topics(kafka, 1)

    async def play() -> None:
        first = Publisher(kafka, system)
        await first.initialise()
        second = Publisher(kafka, system)
        await second.initialise()
        second.close()
        with pytest.raises(PublisherFenced):
            await first.publish([Record(REVISIONS, f"{system}/1", b"{}")])
        first.close()

    gc.disable()
    try:
        asyncio.run(play())  # what the first client of a process starts for good
        before = threads()
        for _ in range(3):
            asyncio.run(play())
        assert eventually(lambda: threads() <= before), (before, threads())
    finally:
        gc.enable()
