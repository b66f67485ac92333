"""Commands of `tidewatch` beside a trial, as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tests.workers.faults import Trial
from workers.settings import REPOSITORY

RUN_S = 120.0


def begin(trial: Trial, *command: str) -> subprocess.Popen[bytes]:
    """Begin a command."""
    env = {**os.environ, "TIDEWATCH_KAFKA": trial.servers.kafka, "TIDEWATCH_REDIS": trial.servers.redis}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-m", "workers", *command], cwd=REPOSITORY, env=env, stdout=pipe, stderr=pipe
    )


def run(trial: Trial, *command: str, code: int = 0) -> dict[str, Any]:
    """Run a command to its end; the JSON object of its last line, or `error`: what it said instead."""
    process = begin(trial, *command, "--json")
    out, error = process.communicate(timeout=RUN_S)
    trial.note(f"{' '.join(command)}: exit {process.returncode} {error.decode()[-600:]}")
    assert process.returncode == code, (out, error)
    return json.loads(out.splitlines()[-1]) if out else {"error": " ".join(error.decode().split())}
