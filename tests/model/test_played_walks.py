"""Random walks of the model, played on real servers: the product is in the model's state after every step."""

from __future__ import annotations

import random
import time

import pytest
from model_setups import (
    CATALOGUE,
    DEFINE,
    EVERYTHING,
    FEED,
    HANDOVER,
    OPEN,
    OWNERSHIP,
    PUBLISHING,
    RESTART,
    REWINDS,
    STOCKS,
    TURN,
    Setup,
)
from model_walks import at_random
from player import Player
from player_kafka import Logs
from player_without import Without
from redis.asyncio import Redis

from stream.letters import LetterBox


async def play(
    setup: Setup, number: int, length: int, publishing: bool, seed: str, client: Redis, logs: Logs, letters: LetterBox
) -> None:
    """`number` walks of `length` random steps."""
    rng, steps, began = random.Random(f"{seed} {setup.name}"), 0, time.monotonic()
    for n in range(number):
        start, walk = at_random(setup, rng, length, publishing)
        player = Player(client, logs, letters, setup, start, Without())
        try:
            await player.play(walk)
        except BaseException as error:
            error.add_note(f"walk {n} of {setup.name}, seed {seed} (--hypothesis-seed={seed} plays it again)")
            raise
        finally:
            await player.end()
        steps += len(walk)
    print(f"seed {seed}, {setup.name}: {number} walks, {steps} steps, {time.monotonic() - began:.1f} s")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> str:
    return str(request.config.option.hypothesis_seed)


@pytest.mark.parametrize(
    "setup", [HANDOVER, OWNERSHIP, REWINDS, STOCKS, FEED, RESTART, CATALOGUE], ids=lambda setup: setup.name
)
async def test_aggregates_and_feed(
    setup: Setup, seed: str, client: Redis, logs: Logs, letters: LetterBox, monkeypatch: pytest.MonkeyPatch
):
    Without().put_in(monkeypatch)
    await play(setup, 30, 40, False, seed, client, logs, letters)


@pytest.mark.parametrize(
    "setup", [FEED, RESTART, CATALOGUE, TURN, PUBLISHING, OPEN, DEFINE, EVERYTHING], ids=lambda setup: setup.name
)
async def test_everything(
    setup: Setup, seed: str, client: Redis, logs: Logs, letters: LetterBox, monkeypatch: pytest.MonkeyPatch
):
    Without().put_in(monkeypatch)
    await play(setup, 3, 40, True, seed, client, logs, letters)
