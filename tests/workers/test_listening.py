"""Nothing listens beyond this machine unless it is told to: the sockets of every process that Tidewatch starts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest

from tests.waiting import eventually
from workers.crew import Crew
from workers.local.ports import free_port
from workers.local.process import ChildProcess
from workers.settings import REPOSITORY

BOUND_S = 90.0


def listening(pid: int) -> set[tuple[str, int]]:
    """(address, port) of every listening socket of a process and of all that it has started."""
    process = psutil.Process(pid)
    return {
        (found.laddr.ip, found.laddr.port)
        for each in (process, *process.children(recursive=True))
        for found in each.net_connections(kind="tcp")
        if found.status == psutil.CONN_LISTEN
    }


@pytest.mark.servers
def test_everything_listens_on_loopback_unless_told(tmp_path: Path) -> None:
    kafka, redis, told, kept = free_port(), free_port(), free_port(), free_port()
    command = [sys.executable, "-m", "workers", "up", "--dir", str(tmp_path / "up")]
    ports = ["--kafka-port", str(kafka), "--redis-port", str(redis)]
    up = ChildProcess("up", [*command, *ports], tmp_path / "up.log", cwd=REPOSITORY)
    crew = Crew(tmp_path / "workers", f"127.0.0.1:{kafka}", f"redis://127.0.0.1:{redis}/0", {})
    try:
        eventually(lambda: "serving" in (tmp_path / "up.log").read_text(), BOUND_S)
        crew.start("ingest", "ingest")
        crew.start("index", "index", env={"TIDEWATCH_HTTP_PORT": str(kept)})
        crew.start("told", "ingest", env={"TIDEWATCH_HTTP_PORT": str(told), "TIDEWATCH_HTTP_HOST": "0.0.0.0"})

        def settled(name: str, text: str) -> Callable[[], bool]:
            return lambda: text in crew.log(name)

        eventually(settled("ingest", "acquired"), BOUND_S, lambda: crew.log("ingest"))
        eventually(settled("index", "running"), BOUND_S, lambda: crew.log("index"))
        eventually(settled("told", "http"), BOUND_S, lambda: crew.log("told"))
        servers = listening(up.pid)
        assert {kafka, redis} <= {port for _, port in servers}
        assert all(ip_address(where).is_loopback or where == "::ffff:127.0.0.1" for where, _ in servers), servers
        assert listening(crew.workers["ingest"].pid) == set()
        assert listening(crew.workers["index"].pid) == {("127.0.0.1", kept)}
        assert listening(crew.workers["told"].pid) == {("0.0.0.0", told)}
    finally:
        crew.stop()
        up.stop(30)
