"""A real Prometheus with the rules and jobs of deploy/prometheus, that scrapes workers on this machine each second."""

from __future__ import annotations

import json
import math
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.deploy.deployed import DEPLOY, read
from tests.waiting import eventually
from workers.local.ports import free_port


class Prometheus:
    """`targets`: job -> ports on loopback; without any it is left out. `alertmanager`: a port; None: nobody is told."""

    def __init__(
        self, program: str, folder: Path, targets: dict[str, list[int]], alertmanager: int | None = None
    ) -> None:
        folder.mkdir()
        self.port = free_port()
        config = read(DEPLOY / "prometheus" / "prometheus.yml")
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(DEPLOY / "prometheus" / "rules" / "*.yml")]
        (manager,) = config["alerting"]["alertmanagers"]
        manager["static_configs"] = [{"targets": [f"127.0.0.1:{alertmanager}"] if alertmanager else []}]
        ports = {**targets, "prometheus": [self.port]}
        config["scrape_configs"] = [
            {"job_name": job["job_name"], "static_configs": [{"targets": [f"127.0.0.1:{p}" for p in ports[name]]}]}
            for job in config["scrape_configs"]
            if ports.get(name := job["job_name"])
        ]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address=127.0.0.1:{self.port}",
             # what fires before it has found its Alertmanager, some seconds after the start, is told again after this
             "--rules.alert.resend-delay=1s"],
            stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def get(self, path: str, **asked: str) -> Any:
        """`data` of its HTTP API. AssertionError with its own words where it refuses."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(asked)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refusal:
            raise AssertionError(refusal.read().decode()) from refusal

    def ask(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each finite sample now."""
        found = [(each["metric"], float(each["value"][1])) for each in self.get("query", query=query)["result"]]
        return [(labels, value) for labels, value in found if math.isfinite(value)]

    def __enter__(self) -> Self:
        eventually(lambda: self.get("status/runtimeinfo"), 30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
