"""The protocol of docs/protocol.md, tried exhaustively in small worlds: it holds, and no rule of it can go.

With all rules on nothing is ever broken and nothing gets stuck, in every state of every setup. With any one rule off
something is: the shortest trace to it is found, and it has the steps that the table tells. Read in this order:
model_rules, model_log (what must result), model_state, model_ingest, model_index, model_faults, model_explore.

What is not here: several partitions, dead letters, retention, time. "Not stuck" says that the workers can get to where
all is published by their own steps; that they do not take others for ever is the back-off's part. A step is a script, a
transaction or a message of the product; test_played.py and test_played_walks.py do the same steps with the product.
"""

import pytest
from model_explore import Found, explore
from model_rules import ON, Rule
from model_setups import (
    DEFINE,
    FEED,
    HANDOVER,
    OPEN,
    OWNERSHIP,
    PUBLISHING,
    RESTART,
    SETUPS,
    STOCKS,
    TURN,
    UNLOGGED,
    Setup,
)

# Rule, setup, what is wrong in the end, and the steps of the trace that make it so, in order. A and B are workers,
# either way round; the numbers are offsets (of a commit: revision number, offset).
WITHOUT = [
    (
        Rule.ACQUIRE_IS_LOAD,
        OWNERSHIP,
        "Redis holds",
        [
            "acquire A 0",
            "redis persists 0",
            "acquire B 0",
            "flush B 0 1",
            "load mirror A",
            "redis goes back 0",
            "flush A 0 1",
        ],
    ),
    (
        Rule.REFUSED_ASKS,
        HANDOVER,
        "stuck",
        ["move p B", "acquire B", "acquire A", "tell ingest A False", "flush refused B"],
    ),
    (Rule.WATCH, OWNERSHIP, "stuck", ["acquire A 0", "flush A 0 2", "redis goes back 0"]),
    (
        Rule.CATALOGUE_IN_LOG,
        UNLOGGED,
        "two states of offset 2",
        ["flush A 0 2", "load A 2", "redis goes back 0", "publish catalogue", "flush A 0 2"],
    ),
    (
        Rule.NEVER_BELOW,
        RESTART,
        "goes back from offset 1 to 0",
        ["commit A 1 1", "redis goes back 0", "crash index A", "load A 0", "commit A 2 0"],
    ),
    (
        Rule.NEVER_BELOW,
        FEED,
        "goes back from offset 1 to 0",
        ["feed gap A 1 2", "commit A 1 1", "redis goes back 0", "load A 0", "commit A 2 0"],
    ),
    (Rule.NEWEST_STAYS, FEED, "stuck", ["load A 0", "flush A 0 3 keeps 0"]),
    (
        Rule.LOAD_IS_ONE,
        FEED,
        "hub 0 holds",
        ["read offset A 0", "flush A 0 1", "read cells A 1", "redis goes back 0", "read offset again, equal A 0"],
    ),
    (
        Rule.CHECKS_FIRST,
        HANDOVER,
        "Redis holds",
        ["acquire A 0", "acquire B 0", "flush A 0 3", "feed refuses the id B 0 1"],
    ),
    (
        Rule.INITIALISE_FIRST,
        PUBLISHING,
        "revision 1 after revision 1",
        ["read back B 0", "commit A 1", "initialise B", "commit B 1"],
    ),
    (
        Rule.HIGH_WATERMARK,
        OPEN,
        "revision 1 after revision 1",
        ["other opens", "commit A 1", "initialise B", "read back B 0", "commit B 1"],
    ),
    (
        Rule.FENCED_RECONCILES,
        TURN,
        "stuck",
        ["move system B", "initialise B", "initialise A", "tell index A False", "commit fenced B"],
    ),
    (
        Rule.FROM_UPDATES,
        PUBLISHING,
        "delta from (), but (('flow', 5), ('day', 5)) is published",
        [
            "commit A 1 0 with table",
            "commit, reply lost A 2 1 table lags",
            "initialise A",
            "read back A 2",
            "commit A 3 1",
        ],
    ),
    (Rule.STOCK_KEEPS_ORDER, STOCKS, "in this order of arrival", ["acquire A 0", "flush A 0 2"]),
    # Not in the table; argued below it.
    (Rule.META_TRAVELS, FEED, "revision 1 names", ["load A 0", "flush A 0 1", "commit A 1 0"]),
    (Rule.TOMBSTONES, DEFINE, "publishes", ["commit A 1 1", "define 2", "switch A", "commit A 2 1"]),
]


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.name)
def test_with_all_rules_it_holds_and_nothing_gets_stuck(setup: Setup) -> None:
    found = explore(setup, ON)
    print(f"{setup.name}: {found.states} states, {found.settled} of them settled")
    assert not found.wrong, told(found)
    assert found.settled


@pytest.mark.parametrize(
    ("rule", "setup", "wrong", "steps"), WITHOUT, ids=[f"{c[0].name}-{c[1].name}" for c in WITHOUT]
)
def test_without_a_rule_it_fails_as_the_table_tells(rule: Rule, setup: Setup, wrong: str, steps: list[str]) -> None:
    found = explore(setup, ON - {rule})
    print(f"Without {rule.name} ({rule.value}):\n{told(found)}")
    assert wrong in found.wrong
    assert any(has(said(found, names), steps) for names in ("AB", "BA")), f"not this trace:\n{told(found)}"


def test_every_rule_is_tried() -> None:
    assert {case[0] for case in WITHOUT} == set(Rule)


def test_the_ways_out_are_taken() -> None:
    """Else the setups would hold because nothing happens in them: these steps must occur with all rules on."""
    seen: set[str] = set()
    for setup in (RESTART, FEED, TURN, OWNERSHIP):
        explore(setup, ON, note=lambda label: seen.add(label[0]))
    assert seen >= {
        "feed gap",
        "load not adopted",
        "watch refuses",
        "flush refused",
        "flush was applied",
        "commit fenced",
    }


# Of these the second part is not a worker.
OUTSIDE = ("redis persists", "redis goes back", "define", "publish catalogue")


def said(found: Found, names: str) -> list[str]:
    """The steps of a trace as lines; worker 0 and 1 are called as `names` says."""
    lines = []
    for action, *rest in found.trace:
        if rest and action not in OUTSIDE:
            rest[0] = names[rest[0]]
        lines.append(" ".join(map(str, (action, *rest))))
    return lines


def has(lines: list[str], steps: list[str]) -> bool:
    """Whether `lines` has lines that begin with `steps`, in that order."""
    rest = iter(lines)
    return all(any(line == step or line.startswith(f"{step} ") for line in rest) for step in steps)


def told(found: Found) -> str:
    """What was found, for people."""
    return "\n".join([*(f"  {n:2} {line}" for n, line in enumerate(said(found, "AB"), 1)), f"  => {found.wrong}"])
