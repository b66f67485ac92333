"""What a long run leaves behind: one JSON object a line, for docs/soak, from which docs/reliability.md is made."""

from __future__ import annotations

import gzip
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workers.settings import REPOSITORY


def head(what: str, seed: str, **more: Any) -> dict[str, Any]:
    """The first fields of a record: what was tried, with which seed, when, of which commit."""
    began = datetime.now(UTC).isoformat(timespec="seconds")
    return {"type": "fuzz", "what": what, "seed": seed, "commit": commit(), "dirty": dirty(), "began": began, **more}


def commit() -> str:
    """The commit that is checked out; empty outside a clone."""
    return _git("rev-parse", "--short=12", "HEAD")


def dirty() -> bool:
    """Whether files differ from it."""
    return _git("status", "--porcelain", "--untracked-files=no") != ""


def _git(*command: str) -> str:
    try:
        done = subprocess.run(["git", *command], cwd=REPOSITORY, capture_output=True, text=True, timeout=20)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def write(path: str | None, record: dict[str, Any]) -> None:
    """Append a record to `path` (gzip where its name ends so; None: nowhere)."""
    if path is None:
        return
    line = json.dumps(record, ensure_ascii=False) + "\n"
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".gz":
        with gzip.open(target, "at", encoding="utf-8") as file:
            file.write(line)
    else:
        with target.open("a", encoding="utf-8") as file:
            file.write(line)


def resident_bytes(pid: int | str = "self") -> int:
    """Memory that a process holds (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096
