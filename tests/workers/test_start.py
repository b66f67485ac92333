"""A worker's start when the servers are not as they should be: it waits, or says why it ends."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path
from uuid import uuid4

from confluent_kafka.admin import AdminClient, NewTopic

from tests.chaos.proxy import Network
from tests.waiting import eventually
from workers.crew import Crew
from workers.local.ports import HOST
from workers.local.process import ChildProcess
from workers.settings import REPOSITORY

START_S = 60.0  # seconds usual; on a machine that does much else besides, many times that
BARE = Path(__file__).with_name("bare_app.py")


def bare(kafka: str, topic: str, folder: Path) -> ChildProcess:
    """A bare application in a process, its log in `folder`."""
    env = {"TIDEWATCH_KAFKA": kafka, "PYTHONPATH": str(REPOSITORY)}
    return ChildProcess(
        "bare", [sys.executable, BARE, f"bare-{uuid4()}", topic], folder / "log", cwd=REPOSITORY, env=env
    )


def create(kafka: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result()


def says(log: Path, text: str) -> None:
    eventually(lambda: text in log.read_text(), START_S, lambda: log.read_text()[-3000:])


def test_a_broker_that_goes_away_just_before_the_start_is_waited_for(kafka: str, tmp_path: Path) -> None:
    """Also by Faust's own client; asked to end meanwhile, the worker ends."""
    topic = f"start-{uuid4()}"
    create(kafka, topic)
    with Network() as network:
        proxy = network.proxy(int(kafka.rpartition(":")[2]))
        proxy.cut()
        for heals in (False, True):
            folder = tmp_path / str(heals)
            folder.mkdir()
            worker = bare(proxy.address, topic, folder)
            says(folder / "log", "trying again until a broker answers")
            if heals:
                proxy.heal()
                says(folder / "log", "has [0, 1]")
            worker.send(signal.SIGTERM)
            assert worker.wait(START_S)
            assert worker.returncode == 0, (folder / "log").read_text()


def test_a_worker_that_is_asked_to_end_while_it_starts_ends(kafka: str, tmp_path: Path) -> None:
    """Though a broker takes its connection and says nothing, and Faust waits for that."""
    with Network() as network:
        proxy = network.proxy(int(kafka.rpartition(":")[2]))
        proxy.black_hole()
        worker = bare(proxy.address, "any", tmp_path)
        eventually(lambda: proxy.connected() > 0, START_S)
        worker.send(signal.SIGTERM)
        assert worker.wait(START_S), (tmp_path / "log").read_text()
        assert worker.returncode == 0, (tmp_path / "log").read_text()


def test_a_topic_that_the_broker_does_not_know_yet_is_assigned_soon_after(kafka: str, tmp_path: Path) -> None:
    """A broker that has just started knows none for a moment; by default the client would look again in 5 minutes."""
    topic = f"start-{uuid4()}"
    worker = bare(kafka, topic, tmp_path)
    says(tmp_path / "log", "has []")
    create(kafka, topic)
    says(tmp_path / "log", "has [0, 1]")
    worker.stop(START_S)


def test_a_port_in_use_is_said(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """Whatever ends a worker is in its log."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        with Crew(tmp_path, kafka, redis_url, {"TIDEWATCH_GROUP": f"start-{uuid4()}"}) as crew:
            port = str(taken.getsockname()[1])
            worker = crew.start("ingest", "ingest", env={"TIDEWATCH_HTTP_PORT": port})
            assert worker.wait(START_S)
            assert worker.returncode == 1
            assert port in crew.log("ingest"), crew.log("ingest")
