"""The rules as one function: seen twice, begun again in the middle, or with revisions left out, they say the same."""

from __future__ import annotations

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
