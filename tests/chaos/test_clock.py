"""A process whose wall clock is off: it sees another time, and waits as long as it means to."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.clock import compile_clock, lacking

SCRIPT = """
import threading, time
from confluent_kafka import Consumer
began = time.monotonic()
threading.Event().wait(0.2)
consumer = Consumer({"bootstrap.servers": "127.0.0.1:1", "group.id": "clock", "log_level": 0})
consumer.subscribe(["any"])
consumer.poll(0.3)
print(time.time(), time.monotonic() - began)
"""
PATIENCE_S = 60.0


@pytest.mark.skipif("cc" in lacking(), reason="no C compiler: clocks of workers are not put off in the chaos trial")
@pytest.mark.parametrize("hours", [-30, 26])
def test_the_wall_clock_is_off_and_waits_are_not(tmp_path: Path, hours: int) -> None:
    """Python's waits, and those of librdkafka, whose deadlines are of the wall clock."""
    env = {**os.environ, "LD_PRELOAD": str(compile_clock(tmp_path)), "CHAOS_CLOCK_S": str(hours * 3600)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    now, waited_s = map(float, done.stdout.split())
    assert abs(now - time.time() - hours * 3600) < PATIENCE_S
    assert 0.2 < waited_s < PATIENCE_S
