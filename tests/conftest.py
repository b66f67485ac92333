"""One real Kafka and one real Redis for the whole session, started by the first test that asks for them.

A test that uses `servers`, `kafka`, `redis_url` or `own_servers` is marked `servers` by itself; `pytest -m
"not servers"` is pure.
"""

import logging
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from workers.local import Servers
from workers.local.servers import to_stderr
from workers.settings import REPOSITORY

# deadline: a shared 2-core machine stalls now and then, and how long an example takes proves nothing
hypothesis.settings.register_profile("tidewatch", print_blob=True, derandomize=False, deadline=None)
hypothesis.settings.load_profile("tidewatch")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed here unless it was given, so that the header can name it: --hypothesis-seed=N repeats the run.

    And let every process of a test run one system, dti-2023, unless the test names a folder: what the spine's tests
    prove does not hang on how many systems run, and eight of them take eight times as long.
    """
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(random.SystemRandom().randrange(2**32))

    # Chosen here as well, so that the processes of pytest-xdist inherit it.
    os.environ.setdefault("TIDEWATCH_SOAK_SEED", str(random.SystemRandom().randrange(10**6)))

    one_system = Path(tempfile.mkdtemp(prefix="tidewatch-one-system-"))
    shutil.copy(REPOSITORY / "systems" / "dti-2023.toml", one_system)
    os.environ["TIDEWATCH_SYSTEMS"] = str(one_system)
    config.add_cleanup(lambda: shutil.rmtree(one_system, ignore_errors=True))


def pytest_report_header(config: pytest.Config) -> str:
    return f"hypothesis seed: {config.option.hypothesis_seed}; soak seed: {os.environ['TIDEWATCH_SOAK_SEED']}"


# Files of server tests that take longest begin first: a process that has nothing left must not wait long for another.
LONGEST = (
    "test_soak.py",
    "test_commands.py",
    "test_faults.py",
    "test_define.py",
    "test_rebuild.py",
    "test_index_away.py",
    "test_editions.py",
    "test_away.py",
    "test_alert_worker.py",
    "test_backup.py",
    "test_faults_index.py",
    "test_setups.py",
    "test_bad_input.py",
    "test_secrets.py",
    "test_growth.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    begins = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: begins.get(item.path.name, len(LONGEST)))
    for item in items:
        if {"servers", "own_servers"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.servers)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A test that sets logging up writes to its own captured stream, which is closed when the next one logs."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Kafka and Redis on free ports, with data in a temporary folder. Whoever kills one starts it again."""
    with (
        tempfile.TemporaryDirectory(prefix="tidewatch-tests-", ignore_cleanup_errors=True) as folder,
        Servers(Path(folder), progress=to_stderr) as both,
    ):
        yield both


@pytest.fixture
def kafka(servers: Servers) -> str:
    """Kafka's bootstrap address; topics are shared by the session, so name yours uniquely."""
    return servers.kafka


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """Redis's URL; the data are shared by the session."""
    return servers.redis
