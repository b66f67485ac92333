"""Random command sequences on ownership, flush and feed: `python -m tests.fuzz.ownership --sequences 100000 --seed N`.

Real code, a real Redis, against the plain model (`ownership_play.py`), some sequences at a time. The same seed makes
the same sequences. What fails is made small and printed; exit code 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random as system_random
import sys
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from redis.asyncio import Redis

from tests.fuzz import records
from tests.fuzz.durable import Durable
from tests.fuzz.ownership_play import Command, Play, made_commands

AT_ONCE = 6  # sequences: Redis works on one while Python works on others


def main(arguments: list[str] | None = None) -> int:
    """Run; the exit code."""
    parser = argparse.ArgumentParser(description="Random commands on ownership and flush, against a plain model.")
    parser.add_argument("--sequences", type=int, default=100_000)
    parser.add_argument("--seed", default=None, help="made up and printed when it is not given")
    parser.add_argument("--record", help="file to append the record to (JSON line; .gz)")
    chosen = parser.parse_args(arguments)
    seed = chosen.seed or str(system_random.SystemRandom().randrange(2**32))
    record = fuzz(seed, chosen.sequences, print)
    records.write(chosen.record, record)
    return 1 if record["failures"] else 0


def fuzz(seed: str, sequences: int, say: Callable[[str], object] = lambda text: None) -> dict[str, Any]:
    """Run `sequences` on a Redis of its own; the record. `failures` holds what was found, in words, made small."""
    say(f"ownership: seed {seed}, {sequences:,} sequences")
    out = records.head("ownership", seed)
    began = time.monotonic()
    with Durable() as durable:
        done, failures = asyncio.run(_all(durable, seed, sequences, say))
    out |= {
        "sequences": sequences,
        "commands": sum(done.values()),
        "seconds": round(time.monotonic() - began, 1),
        "became": dict(sorted(done.items())),
        "failures": failures,
    }
    say(json.dumps(out))
    return out


async def _all(
    durable: Durable, seed: str, sequences: int, say: Callable[[str], object]
) -> tuple[Counter[str], list[str]]:
    redis = durable.client()
    done, failures, numbers = Counter[str](), list[str](), iter(range(sequences))
    began = time.monotonic()

    async def some() -> None:
        for number in numbers:
            if len(failures) >= 5:
                return
            name = f"{seed}/{number}"
            commands = made_commands(Random(name))
            became, problem = await played(redis, number, name, commands)
            done.update(became)
            if problem:
                failures.append(await _small(redis, sequences + number * 1000, name, commands))
            if number % 10_000 == 9_999:
                say(f"  {number + 1:,} sequences, {time.monotonic() - began:.0f} s, {len(failures)} failures")

    try:
        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    finally:
        await redis.aclose()
    return done, failures


async def played(redis: Redis, number: int, seed: str, commands: list[Command]) -> tuple[Counter[str], str]:
    """One sequence in partition `number`: how often each command became what, and what was wrong (empty: nothing)."""
    play = Play(redis, number, seed)
    try:
        for command in commands:
            await play.step(command)
        await play.finish()
    except Exception as error:
        return play.done, f"{type(error).__name__}: {error}"
    return play.done, ""


async def _small(redis: Redis, number: int, seed: str, commands: list[Command]) -> str:
    """The fewest commands that still fail, and what they fail with."""
    kept, size, told = commands, max(1, len(commands) // 2), ""
    numbers = iter(range(number, number + 1000))
    while size:
        begin = 0
        while begin < len(kept):
            without = kept[:begin] + kept[begin + size :]
            _, problem = await played(redis, next(numbers), seed, without)
            if problem:
                kept = without
            else:
                begin += size
        size //= 2
    _, told = await played(redis, next(numbers), seed, kept)
    return f"log {seed}: {kept}: {told}"


if __name__ == "__main__":
    sys.exit(main())
