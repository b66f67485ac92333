"""A small index system on servers of its own: six cities, three quarters, four indicators, workers as processes.

with Small(folder) as small:
    small.flow("330100", "2021-02-01", 5)            # an amount of each indicator, times 1, 2, 3, 4
    small.settled()                                  # a revision includes everything that was sent
    small.run("define", "history", SYSTEM)           # a command, as a user calls it
    small.tables()                                   # what is committed on `rankings`, whatever the revision
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import msgspec

from stream.messages import Revision
from stream.published import read_back
from stream.revisions import read_revisions
from tests.workers.desk import PARTITIONS, STILL_S, Desk, event
from workers.drained import wait_until_drained
from workers.settings import REPOSITORY

SYSTEM = "small"
INDICATORS = ("dti.ecommerce", "dti.entertainment", "dti.procurement", "dti.collaboration")
CITIES = ("330100", "330200", "330300", "440100", "440300", "440600")
TEXT = """# a comment that stays
system = "small"
version = 1
title = "a small one"
base = "2021Q1"
grains = ["quarter", "year"]
groups = ["province", "nation"]
nation = "nation:CN"

[tree]                          # the root
children = ["trade", "work"]
weights = [0.5, 0.5]            # equal

[tree.trade]
children = ["dti.ecommerce", "dti.entertainment"]
panel = [[4, 2], [5, 1]]        # 9/12, 3/12

[tree.work]
children = ["dti.procurement", "dti.collaboration"]
weights = [0.9, 0.1]

[robustness]
draws = 10
seed = 1
level = 0.9

[[ranking]]
name = "cities"
rows = "city"
measure = "value"

[[ranking]]
name = "cities-in-province"
rows = "city"
scope = "province"
measure = "value"

[[ranking]]
name = "provinces-pop"
rows = "province"
measure = "pop"
"""


class Small(Desk):
    """Servers, one ingest and one index worker, and six cities' first three quarters of 2021 (the third is open)."""

    def __enter__(self) -> Self:
        super().__enter__()
        self.systems = self.folder / "systems"
        self.systems.mkdir()
        self.file = self.systems / "small.toml"
        self.file.write_text(TEXT, encoding="utf-8")
        self.env["TIDEWATCH_SYSTEMS"] = str(self.systems)
        self.seq = 0
        self.crew.start("ingest", "ingest")
        self.start_index()
        for day in ("2021-02-01", "2021-05-01", "2021-08-01"):
            for number, city in enumerate(CITIES):
                # each city is best at another indicator, and no two quarters are alike
                self.flow(city, day, *(1 + (number * 7 + i * 5 + int(day[5:7])) % 11 for i in range(4)))
        self.settled()
        return self

    def start_index(self) -> None:
        """An index worker that knows the small system only."""
        self.crew.start("index", "index", env={"TIDEWATCH_SYSTEMS": str(self.systems)})

    def flow(self, city: str, day: str, *amounts: float) -> None:
        """An event of each indicator; `amounts` in its unit."""
        values = []
        for indicator, amount in zip(INDICATORS, amounts, strict=True):
            self.seq += 1
            values.append(event(seq=self.seq, city=city, indicator=indicator, value=amount, at=f"{day}T08:00:00+08:00"))
        self.send(values, partition=self.seq % PARTITIONS)

    def settled(self) -> int:
        """Wait until a revision includes everything that was sent, and its tables are out; its number."""
        kafka, redis = self.servers.kafka, self.servers.redis
        revisions = wait_until_drained(kafka, redis, self.sent, [SYSTEM], timeout_s=STILL_S, check=self.crew.check)
        return revisions[SYSTEM]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return self.ended(self.started(*command))

    def started(self, *command: str) -> subprocess.Popen[str]:
        """Start a command; `ended` waits for its end."""
        return subprocess.Popen(
            [sys.executable, "-m", "workers", *command],
            cwd=REPOSITORY, env={**os.environ, **self.env, "COLUMNS": "300"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ended(self, process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
        """What a command said, and its exit code."""
        out, error = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, error)

    def object(self, *command: str, code: int = 0) -> Any:
        """The JSON object of a command that ends with `code`."""
        done = self.run(*command, "--json")
        assert done.returncode == code, done.stderr + done.stdout
        return json.loads(done.stdout.splitlines()[-1])

    def tables(self) -> dict[str, Any]:
        """The committed tables by key, without the revision they were last written in."""
        found = {}
        for key, table in read_back(self.servers.kafka, SYSTEM).tables.items():
            found[key] = {k: v for k, v in msgspec.to_builtins(table).items() if k != "revision"}
        return found

    def updates(self) -> dict[str, Any]:
        """The committed values by key; not when they were last written, nor whether a closed period was revised."""
        found = {}
        for key, update in read_back(self.servers.kafka, SYSTEM).updates.items():
            found[key] = {
                k: v for k, v in msgspec.to_builtins(update).items() if k not in ("revision", "definition", "status")
            }
        return found

    def revisions(self) -> list[Revision]:
        """What `revisions` holds."""
        return read_revisions(self.servers.kafka, SYSTEM)


def written(folder: Path, name: str, text: str) -> str:
    """The path of a file with that text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)
