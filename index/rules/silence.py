"""Silence: who sends nothing while the neighbours do. A data fault, whatever the values say.

An entity (or an indicator at it) is silent for as many days as have ended without any gain, and none on the day under
way. It is judged by its own habit, if that asks for more than the bound: more than twice its longest pause of the days
before, and long enough that it is no chance for one that pauses so often. A source
cannot be seen in the outputs; its sequence number can, so whoever evaluates may tell the highest of each (`Published.
sources`), and event time tells for how long one stands still.

In both cases at least `neighbours` of the others that usually send must have sent within that time: when all are still,
nobody is.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

import numpy as np
from numpy.typing import NDArray

from index.rules.alert import parts_of, subject_of
from index.rules.days import moves_today, window
from index.rules.measures import Reading
from index.rules.rule import HOUR_US, Rule
from index.rules.state import Source, State
from index.rules.world import World

DAY_US = 24 * HOUR_US
HABIT = 56  # days that show how often something usually pauses
USUAL = 14  # days with something, of those, or there is no habit
RARE = 1e-6  # a few hundred entities on a few hundred days: none by chance
SOURCE_MOVES, SOURCE_DAYS = 20, 3  # the same of a source; a file that was loaded once is none
HEARD_US = 12 * HOUR_US
REPAIRS = "dlq/"  # sources of repaired dead letters: they send when a person does
SOURCE = "source:"  # before a source's name in a subject


def silent_entities(world: World, rule: Rule, state: State) -> dict[str, Reading]:
    """Days of silence of each entity and node that is silent, and 0.0 of those that an alert is about and that send."""
    days = HABIT + 2 * int(np.ceil(rule.fire)) + len(state.flows) // 4
    flows = window(world, state, days)
    nodes = world.leaves if rule.nodes == "leaves" else (0,)
    out: dict[str, Reading] = {}
    for kind in rule.kinds:
        rows = world.rows_of_kind.get(kind, [])
        for node in nodes:
            _judge(world, rule, state, flows[:, rows, node], rows, node, out)
    return {**sending_again(world, rule, state, out), **out}


def sending_again(world: World, rule: Rule, state: State, silent: Container[str] = ()) -> dict[str, Reading]:
    """0.0 days for those that an alert is about, that are not `silent`, and that have sent."""
    under_way = {subject for name, subject in (*state.pending, *state.alerts) if name == rule.name}
    again = sorted(s for s in under_way if s not in silent and _sends(world, state, s))
    return dict.fromkeys(again, Reading(0.0, None))


def _sends(world: World, state: State, subject: str) -> bool:
    """Whether it has gained anything on the last day or the one under way."""
    entity, node = parts_of(subject)
    row, number = world.row_of.get(entity), 0 if node is None else world.node_of.get(node, -1)
    if row is None or number < 0:
        return True  # it is no more
    last = None if state.day is None else state.flows.get(state.day - 1)
    gained = last is not None and not np.isnan(last[row, number]) and last[row, number] != 0.0
    return bool(gained) or moves_today(world, state, row, number)


def _judge(
    world: World,
    rule: Rule,
    state: State,
    flows: NDArray[np.float64],
    rows: list[int],
    node: int,
    out: dict[str, Reading],
) -> None:
    moved = ~np.isnan(flows) & (flows != 0.0)
    still = ~np.isnan(flows) & ~moved
    # trailing days without a gain; a day that is not known ends the count
    trailing = np.cumprod(still[::-1], axis=0).sum(axis=0)
    needed = max(1, int(np.ceil(rule.fire)))
    usual = moved[:-needed].sum(axis=0) >= USUAL
    recent = moved[-needed:].any(axis=0)
    n_usual, n_recent = int(usual.sum()), int((usual & recent).sum())
    for place in np.flatnonzero((trailing > 0) & usual).tolist():
        row, silent = rows[place], int(trailing[place])
        others = n_usual - 1
        sending = n_recent - int(recent[place])
        if others > 0 and sending >= rule.neighbours * others and not moves_today(world, state, row, node):
            bound = max(rule.fire, _habit(still[: len(still) - silent, place], moved[: len(still) - silent, place]))
            if silent >= bound:
                name = subject_of(world.codes[row], world.nodes[node] if node else None)
                out[name] = Reading(float(silent), None, bound)


def _habit(still: NDArray[np.bool_], moved: NDArray[np.bool_]) -> float:
    """Days of silence that are out of habit: twice the longest pause, and as many as chance gives once in 1 / RARE."""
    longest = run = 0
    for each in still.tolist():
        run = run + 1 if each else 0
        longest = max(longest, run)
    pause = (float(still.sum()) + 0.5) / (float(still.sum() + moved.sum()) + 1.0)
    return float(max(2 * longest + 1, np.ceil(np.log(RARE) / np.log(pause))))


def hear_sources(state: State, tops: Mapping[str, int], now_us: int, watched: Container[str]) -> None:
    """Take the sources' highest sequence numbers, as of the watermark `now_us`.

    Between two looks that lie further apart than HEARD_US of event time nobody knows who sent when: then every source
    but those that an alert is about (`watched`) is taken to have sent just now.
    """
    if not tops:
        return
    lost = state.heard_us is not None and now_us - state.heard_us > HEARD_US
    state.heard_us = now_us
    state.touched.add("sources")
    for name, top in tops.items():
        if name.startswith(REPAIRS):
            continue
        held = state.sources.get(name)
        if held is None:
            state.sources[name] = Source(top, now_us, now_us)
        elif top != held.top:
            if not lost:
                held.longest_us = max(held.longest_us * 49 // 50, now_us - held.since_us)
            held.top, held.since_us, held.moves = top, now_us, held.moves + 1
        elif lost and name not in watched:
            held.since_us = now_us


def silent_sources(rule: Rule, state: State, now_us: int) -> dict[str, Reading]:
    """Days of silence of each source with a habit."""
    known = {
        name: source
        for name, source in state.sources.items()
        if source.moves >= SOURCE_MOVES and source.since_us - source.first_us >= SOURCE_DAYS * DAY_US
    }
    fire_us = rule.fire * DAY_US
    out = {}
    for name, source in known.items():
        still_us = now_us - source.since_us
        bound_us = max(fire_us, 2 * source.longest_us)
        others = [other for each, other in known.items() if each != name]
        sending = sum(now_us - other.since_us < fire_us for other in others)
        if still_us < bound_us:
            out[SOURCE + name] = Reading(0.0, None)
        elif others and sending >= rule.neighbours * len(others):
            out[SOURCE + name] = Reading(still_us / DAY_US, None, bound_us / DAY_US)
    return out


def source_of(subject: str) -> str:
    """The source's name in a subject."""
    return subject.removeprefix(SOURCE)
