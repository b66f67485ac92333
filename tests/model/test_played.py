"""Each trace of test_model.py on real servers: under all rules it ends well, with the rule taken out it ends badly.

The steps are the model's own, not written down again. With all rules each is done as far as the rules let it, and then
the workers go on until all is published. Without the rule the product comes, step by step, to the very state that the
model calls broken.
"""

from __future__ import annotations

from functools import cache

import pytest
from model_explore import Found, explore, settled
from model_rules import ON, Rule
from model_setups import Setup
from model_walks import followed, start_of, walked
from player import Player
from player_kafka import Logs
from player_without import Without
from redis.asyncio import Redis
from test_model import WITHOUT, told

from stream.letters import LetterBox

CASES = [pytest.param(rule, setup, id=f"{rule.name}-{setup.name}") for rule, setup, _, _ in WITHOUT]
# What a consumer of the committed topics sees of it, where it sees something.
SEEN = {
    Rule.NEVER_BELOW: "goes back",
    Rule.INITIALISE_FIRST: "revision 1 after revision 1",
    Rule.HIGH_WATERMARK: "revision 1 after revision 1",
    Rule.FROM_UPDATES: "a delta moves",
}


@cache
def found(rule: Rule, setup: Setup) -> Found:
    return explore(setup, ON - {rule})


def show(title: str, walk: list) -> None:
    print(title, *(f"  {n:2} {' '.join(map(str, label))}" for n, (label, _) in enumerate(walk, 1)), sep="\n")


@pytest.mark.parametrize(("rule", "setup"), CASES)
async def test_with_the_rule_it_ends_well(
    rule: Rule, setup: Setup, client: Redis, logs: Logs, letters: LetterBox, monkeypatch: pytest.MonkeyPatch
):
    trace = found(rule, setup)
    print(told(trace))
    start = start_of(trace, setup, ON - {rule})
    walk = followed(start, trace.trace, setup)
    show("played under all rules:", walk)
    player = Player(client, logs, letters, setup, start, Without().put_in(monkeypatch))
    try:
        await player.play(walk)
        assert settled(player.state, player.log)
        assert not player.is_broken()
        assert not await player.contradiction()
    finally:
        await player.end()


@pytest.mark.parametrize(("rule", "setup"), CASES)
async def test_without_the_rule_it_ends_badly(
    rule: Rule, setup: Setup, client: Redis, logs: Logs, letters: LetterBox, monkeypatch: pytest.MonkeyPatch
):
    trace = found(rule, setup)
    print(told(trace))
    rules = ON - {rule}
    start = start_of(trace, setup, rules)
    walk = walked(start, trace.trace, setup, rules)
    assert walk is not None
    player = Player(client, logs, letters, setup, start, Without(rule).put_in(monkeypatch))
    try:
        await player.play(walk)
        if trace.stuck:
            await player.nudge()
            assert not settled(player.state, player.log)
        else:
            assert player.is_broken() == trace.wrong
        seen = await player.contradiction()
        assert SEEN[rule] in seen if rule in SEEN else not seen
    finally:
        await player.end()
