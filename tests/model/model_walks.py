"""Walks through the model: a trace with its states, the same trace under all rules, a random one.

A walk is a list of (label, state after it).
"""

from __future__ import annotations

import random
from dataclasses import replace

from model_explore import Found, broken, outside_steps, own_steps, settled
from model_log import NewCatalogue, evaluate
from model_rules import ON
from model_setups import Setup
from model_state import State

Walk = list[tuple[tuple, State]]

# What a step becomes where a rule lets it end otherwise.
KINDS = (
    ("flush", "flush refused", "flush was applied", "feed refuses the id"),
    ("load", "read offset", "load not adopted"),
    ("commit", "commit fenced"),
)


def steps(state: State, setup: Setup, rules: frozenset) -> dict[tuple, State]:
    """What may happen next, by label."""
    return dict(own_steps(state, setup, rules) + outside_steps(state, rules))


def start_of(found: Found, setup: Setup, rules: frozenset) -> State:
    """Where the trace of `found` begins: the order of arrival in which it ends badly."""
    for start in setup.starts():
        walk = walked(start, found.trace, setup, rules)
        if walk is not None and (found.stuck or broken(walk[-1][1], setup.logs[start.order], rules)):
            return start
    raise AssertionError("the trace leads nowhere bad from any start")


def walked(start: State, labels: tuple, setup: Setup, rules: frozenset) -> Walk | None:
    """The walk with these labels; None where one of them cannot be done."""
    walk, state = [], start
    for label in labels:
        after = steps(state, setup, rules).get(label)
        if after is None:
            return None
        walk.append((label, state := after))
    return walk


def followed(start: State, labels: tuple, setup: Setup) -> Walk:
    """The same steps in order under all rules, each as far as the rules let it; then on until all is published.

    A step that ends otherwise under the rules is that other one; one that they do not allow stands as
    ("not done", *label), and nothing has changed.
    """
    walk: Walk = []
    state = start
    for label in labels:
        if label[0] == "publish catalogue":  # there is one way only: as a record, which counts for what is behind it
            setup = replace(setup, logs=tuple((*log, NewCatalogue(label[1])) for log in setup.logs))
        step = _as_allowed(label, steps(state, setup, ON))
        if step is None:
            walk.append((("not done", *label), state))
        else:
            walk.append(step)
            state = step[1]
    return walk + to_the_end(state, setup)


def _as_allowed(label: tuple, allowed: dict[tuple, State]) -> tuple[tuple, State] | None:
    if label in allowed:
        return label, allowed[label]
    kind = next((kind for kind in KINDS if label[0] in kind), (label[0],))
    alike = [other for other in allowed if other[0] in kind and other[1:2] == label[1:2]]
    if not alike:
        return None
    best = max(alike, key=lambda other: sum(a == b for a, b in zip(other, label, strict=False)))
    return best, allowed[best]


def to_the_end(state: State, setup: Setup) -> Walk:
    """The shortest way on, by the workers' own steps, until all is published."""
    log = setup.logs[state.order]
    ways: dict[State, Walk] = {state: []}
    todo = [state]
    for state in todo:  # it grows
        if settled(state, log):
            return ways[state]
        for label, after in own_steps(state, setup, ON):
            if label[0] == "commit fenced" and not _sees_a_difference(state, label[1]):
                continue
            if after not in ways:
                ways[after] = [*ways[state], (label, after)]
                todo.append(after)
    raise AssertionError("stuck with all rules on")


def at_random(setup: Setup, rng: random.Random, length: int, publishing: bool = True) -> tuple[State, Walk]:
    """A start, and `length` random steps from there under all rules, and then on until all is published.

    Without `publishing` the index workers read and do not publish; then the walk ends where it ends. What the product
    cannot do in this order, and so never does, is left out: see `_possible`.
    """
    start = state = rng.choice(setup.starts())
    walk: Walk = []
    for _ in range(length):
        outside = dict(outside_steps(state, ON))
        possible = {
            label: after
            for label, after in steps(state, setup, ON).items()
            if _possible(label, state, after, start, walk) and (publishing or label[0] not in PUBLISHING)
        }
        if not possible:
            break
        labels = sorted(possible, key=str)
        label = rng.choices(labels, [_weight(label, label in outside) for label in labels])[0]
        walk.append((label, state := possible[label]))
    return start, walk + (to_the_end(state, setup) if publishing else [])


def _weight(label: tuple, outside: bool) -> int:
    """How likely: else all faults would come before there is anything to lose, and all news before they do harm."""
    if label[0] in ("redis goes back", "crash ingest", "crash index"):
        return 1
    if label[0] in ("tell ingest", "tell index") and not label[2]:
        return 1
    if label[0] in ("commit fenced", "commit, reply lost", "load not adopted", "redis persists"):
        return 20
    return 3 if outside else 6


PUBLISHING = ("initialise", "read back", "commit", "commit, reply lost", "commit fenced", "nothing differs", "switch")


def _possible(label: tuple, before: State, after: State, start: State, walk: Walk) -> bool:
    """Whether the product can do a step that the model allows: the model tries more than there is.

    Nothing is revoked while on_assign has not come back, which is when the partition is acquired. A runner does not see
    that another's tables lag. And a table lags only behind one that the same runner has written since it reconciled.
    """
    mine = [other for other, _ in walk if other[1:2] == label[1:2]]
    if label[0] == "tell ingest" and not label[2]:
        since = [other[0] for other in mine if other[0] in ("tell ingest", "acquire", "crash ingest")]
        return not since or since[-1] != "tell ingest"
    if label[0] == "commit fenced":
        return _sees_a_difference(before, label[1])
    if label[-1] == "table lags":
        return _differing(after.topics.table, after.topics.revision.values) <= _written(label[1], start, walk)
    return True


def _sees_a_difference(state: State, w: int) -> bool:
    worker = state.index[w]
    values = evaluate(worker.cells, worker.definition)
    return worker.phase != "running" or (worker.offset, values) != (worker.last.offset, worker.last.values)


def _differing(one: tuple, other: tuple) -> set:
    """Keys at which two lists of published values differ."""
    return {key for key, _ in set(one) ^ set(other)}


def _written(w: int, start: State, walk: Walk) -> set:
    """Keys whose tables worker `w` has written since it last initialised."""
    written: set = set()
    before = start.topics
    for label, after in walk:
        now = after.topics
        if label[1:2] == (w,) and label[0] == "initialise":
            written = set()
        elif label[1:2] == (w,) and label[0] == "commit":
            old, new = before.revision, now.revision
            if (old.definition, old.meta.catalogue) != (new.definition, new.meta.catalogue) or not old.number:
                written = {"flow", "day", "stock"}  # all tables are written anew
            written |= _differing(before.table, now.table)
        before = now
    return written
