"""The rules as one function: seen twice, begun again in the middle, or with revisions left out, they say the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from index.rules import Alert, Published, State, evaluate, read_rules
from index.rules.pieces import all_pieces, restore, take_pieces
from tests.index.rules_made import CITIES, PROVINCES, Feed
from tests.index.test_alert_rules import DROP, GROWTH, LEAVES, SILENT, growths

RULES = read_rules("alerts.toml", SILENT + DROP + LEAVES)
DAYS = 96

NEXT = {"resolved": ("firing", "held"), "held": ("firing", "resolved"), "firing": ("resolved",)}

changes = st.lists(
    st.tuples(
        st.sampled_from([*CITIES, *PROVINCES]),
        st.sampled_from([None, "made.pay", "made.cloud"]),
        st.integers(55, 80),
        st.integers(60, 95),
        st.sampled_from([0.0, 0.4, 0.7, 0.85, 1.5]),
    ),
    max_size=3,
)


def run(feed: Feed, revisions: list[Published], state: State | None = None) -> tuple[State, list[Alert]]:
    held, out = state or State(), []
    for revision in revisions:
        held, alerts = evaluate(feed.world, RULES, held, revision)
        out += alerts
    return held, out


def begun_again(feed: Feed, state: State) -> State:
    """What another process makes of the pieces, the alerts on the topic and the compacted outputs."""
    made = restore(feed.world, all_pieces(feed.world, state))
    made.alerts = dict(state.alerts)
    for rows in state.rows.values():
        for update in rows.values():
            made.show(feed.world, update)
    return made


@settings(max_examples=10)
@given(changes=changes, seed=st.integers(0, 1000), cut=st.integers(1, DAYS - 1))
def test_the_same_whatever_is_restarted_or_repeated(changes: list[Any], seed: int, cut: int):
    feed = Feed(DAYS, seed=seed, changes=tuple(changes))
    revisions = feed.revisions()
    whole_state, whole = run(feed, revisions)
    state, first = run(feed, revisions[:cut])
    again = begun_again(feed, state)
    assert run(feed, revisions[:cut], again)[1] == [], "revisions that were seen change nothing"
    again, second = run(feed, revisions[cut:], again)
    assert first + second == whole
    assert all_pieces(feed.world, again) == all_pieces(feed.world, whole_state)
    assert again.alerts == whole_state.alerts


@settings(max_examples=10)
@given(changes=changes, seed=st.integers(0, 1000))
def test_an_alert_fires_once_and_resolves_once(changes: list[Any], seed: int):
    """firing or held, then (held may fire) resolved, and only then again."""
    feed = Feed(DAYS, seed=seed, changes=tuple(changes))
    standing: dict[tuple[str, str], str] = {}
    for alert in run(feed, feed.revisions())[1]:
        key = alert.rule, alert.subject
        before = standing.get(key, "resolved")
        assert alert.state in NEXT[before]
        assert bool(alert.held_by) == ("held" in (alert.state, before if alert.state == "resolved" else ""))
        assert alert.since_us <= alert.at_us
        standing[key] = alert.state


@settings(max_examples=10)
@given(changes=changes, seed=st.integers(0, 1000), keep=st.sets(st.integers(0, DAYS - 1)))
def test_a_gap_is_caught_up(changes: list[Any], seed: int, keep: set[int]):
    """Updates are absolute: with the last revision seen, the state is that of its number."""
    feed = Feed(DAYS, seed=seed, changes=tuple(changes))
    revisions = [feed.revision(day) for day in sorted(keep | {DAYS - 1})]
    state, _ = run(feed, revisions)
    assert state.revision == DAYS
    assert state.watermark_us == revisions[-1].watermark_us
    assert all(day < (state.day or 0) for day in state.flows)


@settings(max_examples=10)
@given(changes=changes, seed=st.integers(0, 1000))
def test_pieces_that_changed_are_enough(changes: list[Any], seed: int):
    """Written one by one as they change, they are the whole state."""
    feed = Feed(DAYS, seed=seed, changes=tuple(changes))
    state, stored = State(), {}
    for revision in feed.revisions():
        state, _ = evaluate(feed.world, RULES, state, revision)
        for name, piece in take_pieces(feed.world, state).items():
            if piece is None:
                stored.pop(name, None)
            else:
                stored[name] = piece
    assert {**all_pieces(feed.world, State()), **stored} == all_pieces(feed.world, state)


RANK = read_rules(
    "alerts.toml",
    """
    [[rule]]
    name = "rank"
    type = "rank"
    severity = "info"
    ranking = "cities"
    fire = 2
    clear = 0
    """,
)


@settings(max_examples=30)
@given(orders=st.lists(st.permutations(CITIES), min_size=4, max_size=12), data=st.data())
def test_ranks_are_those_of_the_position_whoever_begins_again(orders: list[list[str]], data: st.DataObject):
    """Written one by one as they change, the pieces hold the ranks: no topic has them as of a revision."""
    feed = Feed(1, first="2022-05-15")
    at_us = feed.world.calendar.start_of_day_us(feed.first)
    revisions = [Published(1, at_us, deltas=[ranked(1, "2022Q1", CITIES)])]
    revisions += [Published(n, at_us + n, deltas=[ranked(n, "2022Q2", order)]) for n, order in enumerate(orders, 2)]
    revisions.append(Published(len(orders) + 2, at_us + 90 * 86_400_000_000))  # a later quarter: the first is forgotten
    cuts = data.draw(st.sets(st.integers(1, len(orders))))
    whole_state, made = State(), []
    state, told, stored = State(), [], {}
    for revision in revisions:
        whole_state, alerts = evaluate(feed.world, RANK, whole_state, revision)
        made += alerts
        state, alerts = evaluate(feed.world, RANK, state, revision)
        told += alerts
        stored = {n: p for n, p in {**stored, **take_pieces(feed.world, state)}.items() if p is not None}
        if revision.revision in cuts:
            standing = state.alerts
            state = restore(feed.world, stored)
            state.alerts = standing
    assert told == made
    assert (state.ranks, state.rank_revision) == (whole_state.ranks, whole_state.rank_revision)
    assert not any(period == "2022Q1" for _, period in state.ranks)
    state, _ = evaluate(feed.world, (), state, Published(len(orders) + 3, at_us + 90 * 86_400_000_000))
    assert (state.ranks, state.watched) == ({}, frozenset()), "no rule watches it any more"


def ranked(revision: int, period: str, order: list[str]) -> Any:
    moved = SimpleNamespace(entity=list(order), rank=list(range(1, len(order) + 1)))
    return SimpleNamespace(ranking="cities", period=period, scope=None, revision=revision, moved=moved, shifted=[])


@given(values=st.lists(st.floats(-0.5, 0.3), min_size=3, max_size=40))
def test_hysteresis_never_flaps(values: list[float]):
    """Between two alerts the value was beyond the clear bound, and then beyond the fire bound again."""
    rules = read_rules("alerts.toml", GROWTH)
    revisions = growths(values)
    state, fired = State(), False
    feed = Feed(1)
    for revision, value in zip(revisions, values, strict=True):
        state, alerts = evaluate(feed.world, rules, state, revision)
        for alert in alerts:
            assert (alert.state == "resolved") == fired
            assert value > -0.1 if fired else value < -0.2
            fired = not fired
    firing = {key for key, alert in state.alerts.items() if alert.state == "firing"}
    assert bool(firing) == fired
