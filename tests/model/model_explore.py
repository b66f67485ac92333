"""Breadth first through all states that can be reached: the shortest trace to what must never be, or to being stuck.

Two judgements. `broken`: something that a state must never show. Stuck: from here nothing that the workers do by
themselves (no fault, no person) leads to a state where all is published; found backwards from those where it is.
"""

import gc
from collections.abc import Callable
from dataclasses import dataclass

import model_faults
import model_index
import model_ingest
from model_log import evaluate, greatest, truth
from model_rules import ON, Rule
from model_setups import Setup
from model_state import State, canonical

Note = Callable[[tuple], object]


def ignore(_label: tuple) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Found:
    """How many states there are, and what is wrong, if anything: "" or a sentence, and the labels that lead there."""

    states: int
    settled: int
    wrong: str = ""
    stuck: bool = False
    trace: tuple = ()


def own_steps(state: State, setup: Setup, rules: frozenset) -> list:
    """What workers do by themselves."""
    return [
        *model_ingest.steps(state, setup.logs[state.order], rules),
        *model_index.steps(state, rules),
    ]


def outside_steps(state: State, rules: frozenset) -> list:
    """What happens to them."""
    return list(model_faults.steps(state, versions=1 if Rule.CATALOGUE_IN_LOG in rules else 2))


def broken(state: State, log: tuple, rules: frozenset) -> str:
    """What must never be and is: one sentence, or nothing."""
    if state.wrong:
        return state.wrong
    redis, revision = state.redis, state.topics.revision
    held = [("Redis", redis.offset, redis.mirror.cells, redis.mirror.meta)]
    held += [(f"hub {w}", i.offset, i.cells, i.meta) for w, i in enumerate(state.index) if i.offset >= 0]
    if Rule.CATALOGUE_IN_LOG in rules:
        # How a stock is kept is judged below, by the order of arrival.
        if redis.mirror != truth(log, redis.offset, ON - ({Rule.STOCK_KEEPS_ORDER} - rules)):
            return f"Redis holds {redis.mirror} at offset {redis.offset}"
        for who, offset, cells, meta in held[1:]:
            if (cells, meta) != truth(log, offset)[:2]:
                return f"{who} holds {cells} {meta} at offset {offset}"
        right = truth(log, revision.offset)
        if revision.number and revision.values != evaluate(right.cells, revision.definition):
            return f"revision {revision.number} publishes {revision.values} at offset {revision.offset}"
        if revision.number and revision.meta != right.meta:
            return f"revision {revision.number} names {revision.meta} at offset {revision.offset}"
    else:
        # What counts is not in the log, so nobody can say what is right; but one offset must be one state.
        by_offset = {offset: (cells, meta) for _, offset, cells, meta in held}
        for who, offset, cells, meta in held:
            if by_offset[offset] != (cells, meta):
                return f"two states of offset {offset}: {who} holds {cells} {meta}, another {by_offset[offset]}"
    stock = redis.mirror.cells.stock
    if redis.offset == len(log) and stock and stock != greatest(log):
        return f"the stock is {stock} in this order of arrival, and {greatest(log)} in another"
    return ""


def settled(state: State, log: tuple) -> bool:
    """Whether all is in Redis, published, and in the tables."""
    if state.redis.offset != len(log):
        return False
    revision, table, _, hidden = state.topics
    if not state.index:
        return True
    return (
        revision.offset == len(log)
        and bool(revision.number)
        and revision.definition == state.definition
        and revision.values == table
        and not hidden
    )


def explore(setup: Setup, rules: frozenset, note: Note = ignore, at_most: int = 2_000_000) -> Found:
    """All of `setup` under `rules`, or up to the first thing that is wrong. `note` hears of each own step."""
    gc.disable()  # there are no cycles, and it would walk all states again and again
    try:
        return _explore(setup, rules, note, at_most)
    finally:
        gc.enable()


def _explore(setup: Setup, rules: frozenset, note: Note, at_most: int) -> Found:
    number: dict[State, int] = {}
    states: list[State] = []
    parent: list[int] = []
    back: list[list[int]] = []  # by the workers' own steps
    good: list[int] = []

    def meet(state: State, came_from: int) -> int:
        state = canonical(state)
        known = number.get(state)
        if known is None:
            known = number[state] = len(states)
            states.append(state)
            parent.append(came_from)
            back.append([])
        return known

    for start in setup.starts():
        meet(start, -1)
    at = 0
    while at < len(states):
        state = states[at]
        log = setup.logs[state.order]
        wrong = broken(state, log, rules)
        if wrong:
            return Found(len(states), len(good), wrong, False, trace(setup, rules, states, parent, at))
        if settled(state, log):
            good.append(at)
        for label, after in own_steps(state, setup, rules):
            note(label)
            back[meet(after, at)].append(at)
        for _, after in outside_steps(state, rules):
            meet(after, at)
        at += 1
        assert len(states) <= at_most, f"{setup.name} has more than {at_most} states"

    reaches = bytearray(len(states))
    for end in good:
        reaches[end] = 1
    todo = list(good)
    while todo:
        for before in back[todo.pop()]:
            if not reaches[before]:
                reaches[before] = 1
                todo.append(before)
    stuck = reaches.find(0)
    if stuck >= 0:
        said = "stuck: from here the workers never publish all"
        return Found(len(states), len(good), said, True, trace(setup, rules, states, parent, stuck, to_the_end=True))
    return Found(len(states), len(good))


def trace(
    setup: Setup, rules: frozenset, states: list[State], parent: list[int], at: int, to_the_end: bool = False
) -> tuple:
    """The labels of the steps that lead to state `at`; played anew, so that each worker keeps its number.

    `to_the_end`: then on, by the workers' own steps, until they have nothing more to do.
    """
    path = []
    while at >= 0:
        path.append(states[at])
        at = parent[at]
    path.reverse()
    state = next(start for start in setup.starts() if canonical(start) == path[0])
    labels = []
    for goal in path[1:]:
        steps = own_steps(state, setup, rules) + outside_steps(state, rules)
        label, state = next((label, after) for label, after in steps if canonical(after) == goal)
        labels.append(label)
    return (*labels, *_rest(state, setup, rules)) if to_the_end else tuple(labels)


def _rest(state: State, setup: Setup, rules: frozenset) -> tuple:
    """The shortest way from a stuck state to one where no worker has anything to do; nothing if there is none."""
    ways: dict[State, tuple] = {state: ()}
    todo = [state]
    for state in todo:  # it grows
        steps = own_steps(state, setup, rules)
        if not steps:
            return ways[state]
        for label, after in steps:
            if after not in ways:
                ways[after] = (*ways[state], label)
                todo.append(after)
    return ()
