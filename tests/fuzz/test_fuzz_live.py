"""Mutated messages through a real Kafka and a running ingest worker; `make fuzz` runs a hundred thousand."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.fuzz.live import fuzz

pytestmark = pytest.mark.servers
MESSAGES = 3000


def test_a_worker_takes_whatever_comes(tmp_path: Path) -> None:
    """No stop, no restart, no leak; counts, cells, windows and dead letters as verify's acceptance has them."""
    seed = str(Random().randrange(2**32))
    record = fuzz(seed, MESSAGES, tmp_path, say=print)
    assert record["failures"] == [], f"seed {seed}"
    assert record["written"] > MESSAGES / 3
    assert record["outcomes"]["accepted"] > MESSAGES / 10
    assert record["aborted"] > 0
