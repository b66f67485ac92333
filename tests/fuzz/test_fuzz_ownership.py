"""Ownership, flush and feed under any sequence of commands; `make fuzz` runs a hundred thousand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from redis.asyncio import Redis

from state.flush import FlushBatch, flush
from state.keys import META, Partition, Token, key
from tests.fuzz import ownership_play
from tests.fuzz.durable import Durable
from tests.fuzz.ownership import AT_ONCE, played
from tests.fuzz.ownership_play import OWNERS, WEIGHTS, Play, made_commands

pytestmark = pytest.mark.servers
OWNER, CHOICE = st.integers(0, OWNERS - 1), st.integers(0, 19)
NUMBERS = count()  # of partitions: each sequence has one of its own
EXAMPLES, STEPS, SEQUENCES = 120, 20, 1500


@pytest.fixture(scope="module")
def durable() -> Iterator[Durable]:
    with Durable() as durable:
        yield durable


class Machine(RuleBasedStateMachine):
    """Hypothesis chooses the commands, and makes small what fails."""

    def __init__(self, durable: Durable) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.redis = durable.client()
        self.play: Play

    def do(self, name: str, a: int = 0, b: int = 0) -> None:
        self.loop.run_until_complete(self.play.step((name, a, b)))

    @initialize(seed=st.integers(0, 2**32 - 1))
    def begin(self, seed: int) -> None:
        self.play = Play(self.redis, next(NUMBERS), str(seed))

    @rule(a=OWNER)
    def acquire(self, a: int) -> None:
        self.do("acquire", a)

    @rule(a=OWNER, b=CHOICE)
    def flush(self, a: int, b: int) -> None:
        self.do("flush", a, b)

    @rule(a=OWNER, b=CHOICE)
    def flush_again(self, a: int, b: int) -> None:  # most of what happens is a flush
        self.do("flush", a, b)

    @rule(a=OWNER, b=CHOICE)
    def flush_unanswered(self, a: int, b: int) -> None:
        self.do("flush-unanswered", a, b)

    @rule(a=OWNER)
    def crash(self, a: int) -> None:
        self.do("crash", a)

    @rule(a=OWNER)
    def watch(self, a: int) -> None:
        self.do("watch", a)

    @rule()
    def save(self) -> None:
        self.do("save")

    @rule(a=CHOICE)
    def rewind(self, a: int) -> None:
        self.do("rewind", a)

    @rule()
    def load(self) -> None:
        self.do("load")

    @rule()
    def read(self) -> None:
        self.do("read")

    @rule()
    def restart_reader(self) -> None:
        self.do("restart-reader")

    @rule()
    def silence(self) -> None:
        self.do("silence")

    def teardown(self) -> None:
        try:
            if hasattr(self, "play"):
                self.loop.run_until_complete(self.play.finish())
        finally:
            self.loop.run_until_complete(self.redis.aclose())
            self.loop.close()


def test_any_sequence_of_commands(durable: Durable, pytestconfig: pytest.Config) -> None:
    seeded = hypothesis.seed(int(pytestconfig.option.hypothesis_seed))
    chosen = hypothesis.settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )

    class Ours(Machine):
        def __init__(self) -> None:
            super().__init__(durable)

    seeded(Ours)
    run_state_machine_as_test(Ours, settings=chosen)


async def some_sequences(durable: Durable, seed: str, sequences: int) -> list[str]:
    """Random ones, several at a time; what was wrong."""
    redis, problems, done = durable.client(), list[str](), set[str]()
    numbers = iter(range(sequences))

    async def some() -> None:
        for number in numbers:
            name = f"{seed}/{number}"
            became, problem = await played(redis, next(NUMBERS), name, made_commands(Random(name)))
            done.update(became)
            if problem:
                problems.append(f"{name}: {problem}")

    try:
        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    finally:
        await redis.aclose()
    if sequences >= SEQUENCES:  # else the run would be hollow
        assert {"flush: ok", "flush: fenced", "flush: rewound", "rewind: ok", "watch: refused"} <= done
        assert set(WEIGHTS) <= {each.split(":")[0] for each in done}
    return problems


async def test_random_sequences(durable: Durable, pytestconfig: pytest.Config) -> None:
    seed = pytestconfig.option.hypothesis_seed
    assert await some_sequences(durable, seed, SEQUENCES) == [], f"seed {seed}"


async def test_a_flush_that_is_not_fenced_is_found(durable: Durable, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the trial is worth: a zombie that may write is met within a few sequences."""

    async def unfenced(redis: Redis, partition: Partition, _token: Token, batch: FlushBatch, feed_bytes: int) -> Any:
        token = await redis.hget(key(partition, META), "epoch")
        return await flush(redis, partition, Token(token or ""), batch, feed_bytes)

    monkeypatch.setattr(ownership_play, "flush", unfenced)
    problems = await some_sequences(durable, "planted", 60)
    assert any("the model says 'fenced'" in text for text in problems)


async def test_a_load_that_is_always_adopted_is_found(durable: Durable, monkeypatch: pytest.MonkeyPatch) -> None:
    def adopt(self: Any, snapshot: Any) -> bool:
        self.applied[snapshot.partition] = snapshot.offset
        return True

    monkeypatch.setattr(ownership_play.FeedReader, "adopt", adopt)
    problems = await some_sequences(durable, "planted", 200)
    assert any("whether a load is adopted" in text for text in problems)
