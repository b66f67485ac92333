"""The process that looks for causes: its answer, and that it does not outlive what it is for.

Found by the chaos trial (set-up a, seed 105, each kind alone): looked for in the worker itself, causes left it 78 MiB
larger after five rounds. That causes are found, and right, is in test_alert_worker.py.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from stream.errors import UnreachableError
from tests.waiting import eventually
from workers.alert_cause import causes_of
from workers.alert_cause_find import Job
from workers.settings import REPOSITORY, Settings

NOBODY = "127.0.0.1:9"  # where nothing listens
SUBJECTS = [("330100", "2022Q1")]
BOUND_S = 60.0


def children() -> set[int]:
    """Of this process."""
    return {int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


def settings() -> Settings:
    return Settings(kafka=NOBODY, redis="redis://127.0.0.1:9/0")


def test_what_went_wrong_there_is_said_here():
    before = children()
    with pytest.raises(UnreachableError, match=r"UnreachableError: Kafka at 127\.0\.0\.1:9"):
        asyncio.run(causes_of(settings(), "dti-2023", SUBJECTS))
    assert children() <= before


def test_cancelled_it_ends_at_once():
    before = children()

    async def play() -> None:
        task = asyncio.create_task(causes_of(settings(), "dti-2023", SUBJECTS))
        while not children() - before:  # bounded by the test's own bound
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(play(), BOUND_S))
    assert children() <= before


def test_it_ends_with_its_worker():
    job = Job(NOBODY, {}, "redis://127.0.0.1:9/0", "dti-2023", SUBJECTS)
    with subprocess.Popen(
        [sys.executable, "-m", "workers.alert_cause_find"], cwd=REPOSITORY, stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        process.stdin.close()  # what a kill -9 of the worker does
        assert eventually(lambda: process.poll() is not None, BOUND_S)
        assert process.returncode == 1
