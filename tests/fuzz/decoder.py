"""Fuzz the decoder: `python -m tests.fuzz.decoder --messages 1000000 --seed N`.

Chunks of some hundred messages go through the product's decode path and the oracle (`chunks.py`) in a child process, so
that a crash in native code, a hang or a leak is seen from outside. The same seed makes the same messages. What fails is
made small and written beside the record; exit code 1.
"""

from __future__ import annotations

import argparse
import json
import logging
import mmap
import os
import random as system_random
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import structlog

from tests.fuzz import records
from tests.fuzz.chunks import made_chunk, restored, stored, tried
from tests.fuzz.made_logs import Record
from tests.fuzz.shrink import smaller
from workers.settings import REPOSITORY

CHUNK = 400  # messages: so many that windows, cells and a catalogue's change matter, so few that a failure is quick
STALLED_S = 60.0  # a chunk takes a tenth of a second
SETTLED = 0.2  # of the chunks: by then every memo and import is there, and memory should be flat
GROWTH_BYTES = 32 << 20  # what a run may take more from there on
SLOW_S = 2.0  # of one message; the machine stalls now and then, and a megabyte of brackets takes 0.3 s


def main(arguments: list[str] | None = None) -> int:
    """Run; the exit code."""
    parser = argparse.ArgumentParser(description="Mutated messages through the decoder, against the oracle.")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", default=None, help="made up and printed when it is not given")
    parser.add_argument("--record", help="file to append the record to (JSON line; .gz)")
    parser.add_argument("--keep", default=tempfile.gettempdir(), help="folder for failing cases")
    parser.add_argument("--replay", help="a failing case that was kept")
    parser.add_argument(
        "--alone-every", type=int, default=1, help="of so many chunks one is read message by message too"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if chosen.replay:
        return _replay(Path(chosen.replay))
    seed = chosen.seed or str(system_random.SystemRandom().randrange(2**32))
    if chosen.child:
        return _child(seed, chosen.messages, chosen.alone_every, Path(chosen.child))
    record = fuzz(seed, chosen.messages, Path(chosen.keep), alone_every=chosen.alone_every, say=print)
    records.write(chosen.record, record)
    return 1 if record["failures"] else 0


def fuzz(
    seed: str, messages: int, keep: Path, *, alone_every: int = 1, say: Callable[[str], object] = lambda text: None
) -> dict[str, Any]:
    """Run `messages` in a child and look at it from outside; the record. `failures` holds what was found, in words."""
    say(f"decoder: seed {seed}, {messages:,} messages")
    out = records.head("decoder", seed)
    began, counts, done, slowest, memory = time.monotonic(), Counter[str](), 0, (0.0, ""), []
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="tidewatch-fuzz-") as folder:
        place = Path(folder) / "place"
        place.write_bytes(b"\0" * 24)
        child = _start(seed, messages, alone_every, place)
        watch = _Watch(child)
        assert child.stdout is not None
        for line in child.stdout:
            watch.seen()
            said = json.loads(line)
            done += said["messages"]
            counts.update(said["counts"])
            slowest = max(slowest, (said["slowest_s"], f"{said['seed']} {said['slowest']}"))
            memory.append(said["resident"])
            if said["found"]:
                failures += _mismatch(said["seed"], said["found"], keep)
            if len(memory) % 250 == 0:
                say(f"  {done:,} messages, {time.monotonic() - began:.0f} s, {len(failures)} failures")
        child.wait()
        watch.end()
        if child.returncode != 0:
            chunk, partition, offset = struct.unpack("qqq", place.read_bytes())
            failures += _crash(f"{seed}/{chunk}", child.returncode, (partition, offset), keep)
    settled = memory[int(len(memory) * SETTLED) :]
    if settled and settled[-1] - settled[0] > GROWTH_BYTES:
        failures.append(f"memory grew from {settled[0] >> 20} to {settled[-1] >> 20} MiB")
    if slowest[0] > SLOW_S:
        failures.append(f"a message took {slowest[0]:.2f} s: {slowest[1]}")
    out |= {
        "messages": done,
        "seconds": round(time.monotonic() - began, 1),
        "outcomes": dict(sorted(counts.items())),
        "slowest_message_s": round(slowest[0], 4),
        "resident_mib": [settled[0] >> 20, settled[-1] >> 20] if settled else [],
        "failures": failures,
    }
    say(json.dumps(out))
    return out


def _start(seed: str, messages: int, alone_every: int, place: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.fuzz.decoder", "--seed", seed, "--messages", str(messages)]
    command += ["--alone-every", str(alone_every), "--child", str(place)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


class _Watch:
    """Kills a child that says nothing for STALLED_S: one message keeps it busy for ever."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child, self._ended, self._at = child, threading.Event(), time.monotonic()
        threading.Thread(target=self._look, daemon=True).start()

    def seen(self) -> None:
        self._at = time.monotonic()

    def end(self) -> None:
        self._ended.set()

    def _look(self) -> None:
        while not self._ended.wait(0.5):
            if time.monotonic() - self._at > STALLED_S:
                self._child.kill()
                return


def _child(seed: str, messages: int, alone_every: int, place: Path) -> int:
    """Chunk after chunk; a line of JSON each. `place` tells from outside where it is."""
    with place.open("r+b") as file, mmap.mmap(file.fileno(), 24) as where:
        for number in range(-(-messages // CHUNK)):
            _one(seed, number, number % alone_every == 0, where, sys.stdout)
    return 0


def _one(seed: str, number: int, alone: bool, where: mmap.mmap, out: IO[str]) -> None:
    def at(record: Record) -> None:
        struct.pack_into("qqq", where, 0, number, record.partition, record.offset)

    struct.pack_into("qqq", where, 0, number, -1, -1)
    name = f"{seed}/{number}"
    catalogue, logs = made_chunk(name, CHUNK)
    outcome = tried(catalogue, logs, name, at, alone=alone)
    line = {
        "seed": name,
        "messages": outcome.messages,
        "counts": outcome.counts,
        "found": outcome.found[:20],
        "slowest_s": outcome.slowest_s,
        "slowest": outcome.slowest,
        "resident": records.resident_bytes(),
    }
    print(json.dumps(line), file=out, flush=True)


# --- what failed ------------------------------------------------------------------------------------------------------


def _mismatch(name: str, found: list[str], keep: Path) -> list[str]:
    """A difference or an exception: made small here, and kept."""
    catalogue, logs = made_chunk(name, CHUNK)
    small = smaller(logs, lambda some: bool(tried(catalogue, some, name).found))
    return [f"chunk {name}: {found[0]}; kept as {_kept(name, stored(catalogue, small), keep)}"]


def _crash(name: str, code: int, where: tuple[int, int], keep: Path) -> list[str]:
    """The child died, or hung: each attempt to make it smaller needs a process of its own."""
    catalogue, logs = made_chunk(name, CHUNK)

    def fails(some: list[list[Record]]) -> bool:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(stored(catalogue, some))
            file.flush()
            command = [sys.executable, "-m", "tests.fuzz.decoder", "--replay", file.name]
            try:
                done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=STALLED_S)
            except subprocess.TimeoutExpired:
                return True
            return done.returncode not in (0, 1)

    small = smaller(logs, fails, budget_s=300.0) if fails(logs) else logs
    what = f"chunk {name}: the process ended with {code} near partition, offset {where}"
    return [f"{what}; kept as {_kept(name, stored(catalogue, small), keep)}"]


def _kept(name: str, text: str, keep: Path) -> str:
    keep.mkdir(parents=True, exist_ok=True)
    path = keep / f"fuzz-decoder-{name.replace('/', '-')}.json"
    path.write_text(text, encoding="utf-8")
    return os.fspath(path)


def _replay(path: Path) -> int:
    catalogue, logs = restored(path.read_text(encoding="utf-8"))
    found = tried(catalogue, logs, path.stem).found
    print("\n".join(found) or "nothing found")
    for log in logs:
        for record in log:
            print(record)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
