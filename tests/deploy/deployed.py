"""What deploy/ holds, read once: YAML files, and what the product itself says that they may name."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer.main
import yaml

from workers.cli import main
from workers.settings import REPOSITORY, Settings

DEPLOY = REPOSITORY / "deploy"
PORT = 9464  # of the workers' HTTP in containers
METRIC = re.compile(r"\btidewatch_[a-z_]+\b")


def read_all(path: Path) -> list[Any]:
    """Every YAML document of a file."""
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each is not None]


def read(path: Path) -> Any:
    """The one YAML document of a file."""
    (only,) = read_all(path)
    return only


def commands() -> set[str]:
    """The commands of `tidewatch`, and the commands of its groups as `dlq list`."""
    group: Any = typer.main.get_command(main)
    found = set(group.commands)
    for name, command in group.commands.items():
        found |= {f"{name} {each}" for each in getattr(command, "commands", {})}
    return found


def variables() -> set[str]:
    """The environment variables that `Settings` reads."""
    return {f"TIDEWATCH_{name.upper()}" for name in Settings.model_fields}


def metrics() -> dict[str, set[str]]:
    """Metric -> its labels, as docs/metrics.md lists them."""
    found = {}
    for line in (REPOSITORY / "docs" / "metrics.md").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\| `(tidewatch_\w+)` \| \w+ \| ([^|]*)\|", line):
            found[match[1]] = set(re.findall(r"`(\w+)`", match[2]))
    assert len(found) > 50, "docs/metrics.md has another form now"
    return found


def base_of(name: str, known: dict[str, set[str]]) -> str:
    """The metric that a series of a histogram belongs to."""
    return name if name in known else re.sub(r"_(bucket|count|sum)$", "", name)


def skipped(why: str) -> NoReturn:
    """Skip the test that runs now; the summary names it, which pytest does not where a helper skips."""
    name = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("::")[2].partition(" ")[0]
    pytest.skip(f"{name}: {why}")


def tool(*names: str, why: str) -> str:
    """The first of these programs that is on the PATH; else the test is skipped, which names them."""
    for name in names:
        if found := shutil.which(name):
            return found
    skipped(f"{' or '.join(names)} not on the PATH: {why}")


def go_module(module: str, version: str) -> Path:
    """The folder of a Go module, fetched by the go command (which checks its hash); skips where that cannot be."""
    go = tool("go", why=f"it fetches {module}, which holds the schemas")
    asked = subprocess.run(
        [go, "mod", "download", "-json", f"{module}@{version}"], capture_output=True, text=True, timeout=240
    )
    if asked.returncode != 0:
        skipped(f"{module}@{version} cannot be fetched: {asked.stdout[-300:]} {asked.stderr[-300:]}")
    return Path(json.loads(asked.stdout)["Dir"])
