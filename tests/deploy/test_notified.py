"""From a rule to a person: a real Prometheus and Alertmanager with the files of deploy/, and a receiver to hear."""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.deployed import DEPLOY, tool
from tests.deploy.prom import Prometheus
from tests.waiting import eventually
from workers.local.ports import free_port

pytestmark = pytest.mark.servers
WHY = "Debian's package prometheus-alertmanager brings it"


class Receiver:
    """Whatever wakes people: takes Alertmanager's webhooks. `heard`: path and alert, in their order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                heard.extend((self.path.strip("/"), alert) for alert in body["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def names(self, path: str, status: str = "firing") -> set[str]:
        """Names of the alerts that came to `path`."""
        return {a["labels"]["alertname"] for where, a in self.heard if where == path and a["status"] == status}


@contextmanager
def alertmanager(program: str, folder: Path, receiver: int) -> Iterator[int]:
    """deploy/alertmanager/alertmanager.yml with our receiver in the place of its; yields its port."""
    folder.mkdir()
    text = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    assert text.count("http://receiver:8080/") == 4
    config = folder / "alertmanager.yml"
    config.write_text(text.replace("http://receiver:8080/", f"http://127.0.0.1:{receiver}/"), encoding="utf-8")
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, f"--config.file={config}", f"--storage.path={folder / 'data'}", "--cluster.listen-address=",
             f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            eventually(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5).status == 200, 30)
            yield port
        finally:
            process.terminate()
            process.wait(20)


def post(port: int, *alerts: dict[str, str], ended: bool = False) -> None:
    """As the alert worker and Prometheus do: alerts by their labels."""
    now = datetime.now(UTC)
    until = now - timedelta(seconds=1) if ended else now + timedelta(minutes=5)
    body = [
        {"labels": labels, "startsAt": (now - timedelta(minutes=1)).isoformat(), "endsAt": until.isoformat()}
        for labels in alerts
    ]
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v2/alerts", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=5) as answer:
        assert answer.status == 200


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def test_what_prometheus_finds_arrives(tmp_path: Path, receiver: Receiver) -> None:
    """The watchdog is the way itself. It goes to its own receiver only, with its link."""
    manager = tool("alertmanager", "prometheus-alertmanager", why=WHY)
    program = tool("prometheus", why="Debian's package prometheus brings it")
    with (
        alertmanager(manager, tmp_path / "alertmanager", receiver.port) as port,
        Prometheus(program, tmp_path / "prometheus", {}, alertmanager=port),
    ):
        eventually(lambda: receiver.names("watchdog") == {"TidewatchWatchdog"}, 40, lambda: receiver.heard)
        (alert, *_) = (alert for where, alert in receiver.heard if where == "watchdog")
        assert alert["annotations"]["runbook_url"] == "docs/runbook.md#tidewatchwatchdog"
        assert "TidewatchWatchdog" not in receiver.names("page") | receiver.names("warn") | receiver.names("info")


def test_a_drop_is_told_at_once_and_what_follows_from_a_cause_is_not(tmp_path: Path, receiver: Receiver) -> None:
    manager = tool("alertmanager", "prometheus-alertmanager", why=WHY)
    drop = {"alertname": "drop", "severity": "page", "system": "dti-2023", "entity": "330100", "kind": "city",
            "period": "2023Q1"}  # fmt: skip
    # One group with a fast route (entity) in each: when the one that is told has arrived, the other had its chance.
    cause = {"alertname": "TidewatchServerAway", "severity": "page", "job": "tidewatch-ingest", "server": "Redis"}
    effect = {"alertname": "TidewatchIndexLag", "severity": "page", "system": "dti-2023", "entity": "none"}
    with alertmanager(manager, tmp_path / "alertmanager", receiver.port) as port:
        post(port, cause)
        post(port, drop, effect)
        eventually(lambda: "drop" in receiver.names("page"), 30, lambda: receiver.heard)
        eventually(lambda: "TidewatchServerAway" in receiver.names("page"), 30, lambda: receiver.heard)
        assert "TidewatchIndexLag" not in receiver.names("page")
        post(port, drop, ended=True)
        eventually(lambda: "drop" in receiver.names("page", "resolved"), 90, lambda: receiver.heard)
