"""The record of a run: JSON lines, `type` first, gzipped as they are written; so that what a dead run saw is there too.

    with Writer(path, Run(...)) as record:
        record.add(Fault(...)); record.add(Round(...)); record.add(End(...))
    for line in read(path): ...

Times: `..._s` are seconds; `at_s` and `ended_s` count from the run's begin, by the monotonic clock; `began` is UTC.
"""

from __future__ import annotations

import gzip
import platform
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import Struct, field, json

from workers.settings import REPOSITORY

LIBRARIES = ("confluent-kafka", "faust-streaming", "redis", "numpy", "msgspec")


class Run(Struct, tag_field="type", tag="run", kw_only=True):
    """One run: one set-up, one seed. `what`: `soak`, `short` (in the tests), `backpressure`, `slow-redis`."""

    seed: str
    setup: str
    what: str = "soak"
    commit: str
    dirty: bool
    began: str
    versions: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


class Fault(Struct, tag_field="type", tag="fault", kw_only=True):
    """One fault. `ended_s`: when what it took away was given back; `kill`: processes it killed with SIGKILL."""

    round: int
    kind: str
    target: str
    at_s: float
    ended_s: float
    kill: int = 0
    details: dict[str, Any] = field(default_factory=dict)


class Round(Struct, tag_field="type", tag="round", kw_only=True):
    """What stood after the faults of one round. `recovered_s`: from the end of the last of them to lag zero.

    Counts are of the whole run so far, not of the round; so is `alerts`, the transitions compared.
    `differences`: of verify; `failures`: everything that did not hold, in words, verify's included.
    """

    round: int
    faults: list[str]
    recovered_s: float
    sent: int
    accepted: int
    duplicate: int
    rejected: dict[str, int]
    letters: int = 0
    revision: int = 0
    differences: int = 0
    cells: int = 0
    values: int = 0
    growths: int = 0
    ranks: int = 0
    alerts: int = 0
    checked_s: float = 0.0
    leaks: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


class Sample(Struct, tag_field="type", tag="sample", kw_only=True):
    """A moment of a back-pressure run: messages sent and taken so far; `rss`: MiB by worker."""

    at_s: float
    phase: str
    sent: int
    taken: int
    lag: int
    rss: dict[str, float]


class End(Struct, tag_field="type", tag="end", kw_only=True):
    """How it ended. `failure`: None, or what did not hold and in which round. `found`: of a back-pressure run."""

    kills: int
    rounds: int
    ok: bool
    failure: str | None
    seconds: float
    found: dict[str, Any] = field(default_factory=dict)


class Fuzz(Struct, tag_field="type", tag="fuzz", kw_only=True):
    """A run of fuzzing, in one line. `what`: decoder, live, ownership, control; either `messages` or `sequences`."""

    what: str
    seed: str | int
    commit: str
    dirty: bool = False
    began: str = ""
    messages: int = 0
    sequences: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


Line = Run | Fault | Round | Sample | End | Fuzz
_decoder = json.Decoder(Line)
_encoder = json.Encoder()


class Writer:
    """Writes a run's lines; every one is on the disk when `add` returns, and readable though the run dies."""

    def __init__(self, path: Path, run: Run) -> None:
        """`path` ends in `.jsonl.gz`; what stood there is written over."""
        path.parent.mkdir(parents=True, exist_ok=True)
        # No time and no name in the header: the same lines are the same bytes.
        self._raw = path.open("wb")
        self._file = gzip.GzipFile("", "wb", fileobj=self._raw, mtime=0)
        self.add(run)

    def add(self, line: Line) -> None:
        """Append a line. Errors: OSError."""
        self._file.write(_encoder.encode(line) + b"\n")
        self._file.flush()
        self._raw.flush()

    def close(self) -> None:
        """The end of the file."""
        self._file.close()
        self._raw.close()

    def __enter__(self) -> Self:
        """The run's line is written."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The end of the file."""
        self.close()


def read(path: Path) -> Iterator[Line]:
    """The lines of a record, in order; of one that was cut off, those that are whole.

    Errors: ValueError for a line that is none of ours, with the file and the number of the line.
    """
    with gzip.open(path, "rb") as file:
        number = 0
        while True:
            try:
                line = file.readline()
            except EOFError:
                return
            if not line:
                return
            number += 1
            try:
                yield _decoder.decode(line)
            except ValueError as error:
                raise ValueError(f"{path.name}, line {number}: {error}") from None


def begin(seed: str, setup: str, what: str = "soak", **settings: Any) -> Run:
    """The first line of a run that begins now, of the code as it stands here."""
    return Run(
        seed=seed,
        setup=setup,
        what=what,
        commit=_git("rev-parse", "--short=12", "HEAD") or "unknown",
        dirty=bool(_git("status", "--porcelain", "--untracked-files=no")),
        began=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        settings=settings,
    )


def _git(*command: str) -> str:
    try:
        done = subprocess.run(["git", *command], cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
