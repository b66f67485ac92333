"""A trial of its own servers: whatever it does to them, no other test file sees."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.faults import Trial
from workers.local import Servers


@pytest.fixture(scope="module")
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Kafka and Redis of this test file alone."""
    with Servers(tmp_path_factory.mktemp("servers")) as both:
        yield both


@pytest.fixture
def trial(own_servers: Servers, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Trial]:
    """From nothing: empty topics, an empty Redis, nobody at work."""
    with Trial(own_servers, tmp_path, f"{request.config.option.hypothesis_seed}/{request.node.name}") as trial:
        yield trial
