"""The schedule of a run: rounds of faults with their times and targets, made beforehand from the seed, as plain data.

The same set-up, seed and list of kinds give the same plan. Targets are named by role and number, never by process:
`ingest/0`, `redis/p2` (whoever serves partition 2), `broker/1`, `leader/indicator-events/3`, `coordinator/...`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from stream.topics import DELTAS, DLQ, EVENTS, OUTPUTS
from tests.chaos.kinds import DOWN, DOWN_MOST, Kind, possible

PARTITIONS = 4
WORKERS = {"ingest": 2, "index": 2, "alert": 1}
BROKERS = {"a": 1, "b": 3, "c": 3}
SINGLE_S = (2.0, 4.0)  # before the one fault of a single round: events flow
TOGETHER = 0.35  # of faults come right behind the one before, so that they overlap
SAME_PLAY = 0.75  # how often the feed goes on with the play of the round before
CLOCK_HOURS = (-30, -7, -2, 2, 5, 26)
SCALE = (1, 4, 2, 8)


@dataclass(frozen=True)
class Mix:
    """How a plan is mixed. `every_s`, `kills_every_s`: of a full round's length, a fault and a killed process at most
    (a worker takes two seconds of a processor to start); `single_every`: one round in so many has a single fault;
    `weights`: of kinds, instead of their own.
    """

    round_s: tuple[float, float] = (25.0, 45.0)
    every_s: float = 1.25
    kills_every_s: float = 1.7
    single_every: int = 6
    weights: Mapping[str, float] = field(default_factory=dict)

    def weight(self, kind: Kind) -> float:
        """How often a kind is drawn, beside the others."""
        return self.weights.get(kind.name, kind.weight)


MIXES = {
    "even": Mix(),
    "kills": Mix((38.0, 45.0), 1.0, 1.2, 12, {"redis-kill": 36, "kill-ingest": 30, "kill-index": 18}),
}
BRIEF = Mix((24.0, 30.0))


@dataclass(frozen=True)
class Fault:
    """`at_s`: seconds after the round's begin; `for_s`: how long it lasts; `more`: what only this kind has."""

    kind: str
    target: str
    at_s: float
    for_s: float = 0.0
    kill: int = 0
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FeedPlan:
    """How events flow in a round: so many a second, in messages of `array` (1: single events). The same: it goes on."""

    per_second: int
    array: int
    cities: int
    seed: int


@dataclass(frozen=True)
class Round:
    """Faults in the order of their times, while events flow for `seconds`."""

    number: int
    seconds: float
    feed: FeedPlan
    faults: list[Fault]

    @property
    def kills(self) -> int:
        """Processes that are killed."""
        return sum(fault.kill for fault in self.faults)


@dataclass(frozen=True)
class Plan:
    """A run. `lacking`: what the machine does not have, so that the kinds that need it are left out, by name."""

    setup: str
    seed: str
    lacking: list[str]
    rounds: list[Round]

    def dump(self) -> str:
        """As JSON that `load` reads."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode()

    @staticmethod
    def load(path: Path) -> Plan:
        """From a file: a failure that was kept. Errors: msgspec's."""
        return msgspec.json.decode(path.read_bytes(), type=Plan)


def make_plan(setup: str, seed: str, kills: int, *, lacking: frozenset[str] = frozenset(), mix: str = "even") -> Plan:
    """Rounds until `kills` processes are killed; every kind that is possible comes early. `mix`: one of MIXES."""
    rng, mixed = random.Random(f"{setup}/{seed}"), MIXES[mix]
    kinds = possible(setup, lacking)
    deck = _Deck(kinds, rng, mixed)
    made: list[Round] = []
    while sum(each.kills for each in made) < kills:
        number = len(made) + 1
        single = number % mixed.single_every == 0
        feed = made[-1].feed if made and rng.random() < SAME_PLAY else _feed(rng)
        seconds, faults = _single(setup, kinds, rng) if single else _full(setup, deck, rng)
        made.append(Round(number, seconds, feed, faults))
    return Plan(setup, seed, sorted(lacking), made)


def brief_plan(setup: str, seed: str, rounds: int, *, lacking: frozenset[str] = frozenset()) -> Plan:
    """So many short rounds, which hold every kind that is possible as far as they have room."""
    rng = random.Random(f"brief/{setup}/{seed}")
    deck = _Deck(possible(setup, lacking), rng, BRIEF, new_every=1)
    made = []
    for i in range(rounds):
        seconds, faults = _full(setup, deck, rng)
        made.append(Round(i + 1, seconds, _feed(rng), faults))
    return Plan(setup, seed, sorted(lacking), made)


def singles_plan(setup: str, seed: str, *, lacking: frozenset[str] = frozenset()) -> Plan:
    """Each kind that is possible in a round of its own: how long the product takes after it alone."""
    rng = random.Random(f"singles/{setup}/{seed}")
    kinds = possible(setup, lacking)
    feed, made = _feed(rng), []
    for i, kind in enumerate(rng.sample(kinds, len(kinds))):
        seconds, faults = _single(setup, [kind], rng)
        made.append(Round(i + 1, seconds, feed, faults))
    return Plan(setup, seed, sorted(lacking), made)


class _Deck:
    """Deals each kind once, in any order, with the usual ones in between; then by weight.

    `new_every`: at first, one in so many is a kind that was not dealt yet.
    """

    def __init__(self, kinds: Sequence[Kind], rng: random.Random, mix: Mix, new_every: int = 2) -> None:
        self._kinds, self._rng, self._new_every = kinds, rng, new_every
        self.mix = mix
        # First what only some set-ups have: a brief plan may have no room for all.
        self._due = sorted(rng.sample(kinds, len(kinds)), key=lambda kind: "a" in kind.setups)
        self._dealt = 0

    def deal(self, held: Sequence[str]) -> Kind | None:
        """A kind that a round which holds those may have besides; None: none fits."""
        fits = [kind for kind in self._kinds if _fits(kind, held)]
        self._dealt += 1
        if self._dealt % self._new_every == 0:
            for kind in self._due:
                if kind in fits:
                    self._due.remove(kind)
                    return kind
        return self._rng.choices(fits, [self.mix.weight(kind) for kind in fits])[0] if fits else None


def _fits(kind: Kind, held: Sequence[str]) -> bool:
    down = kind.name in DOWN and sum(name in DOWN for name in held) >= DOWN_MOST
    return not down and held.count(kind.name) < kind.most


def _full(setup: str, deck: _Deck, rng: random.Random) -> tuple[float, list[Fault]]:
    mix = deck.mix
    seconds = rng.uniform(*mix.round_s)
    faults: list[Fault] = []
    before = 0.0
    while len(faults) < seconds / mix.every_s and sum(fault.kill for fault in faults) < seconds / mix.kills_every_s:
        kind = deck.deal([fault.kind for fault in faults])
        if kind is None:
            break
        for_s = rng.uniform(*kind.for_s)
        latest = max(1.0, seconds - for_s)
        at_s = min(latest, before + rng.uniform(0, 0.4)) if rng.random() < TOGETHER else rng.uniform(0.5, latest)
        before = at_s
        faults.append(_fault(setup, kind, at_s, for_s, rng))
    faults.sort(key=lambda fault: fault.at_s)
    return round(seconds, 2), faults


def _single(setup: str, kinds: Sequence[Kind], rng: random.Random) -> tuple[float, list[Fault]]:
    [kind] = rng.choices(kinds, [kind.weight**0.5 for kind in kinds])
    at_s, for_s = rng.uniform(*SINGLE_S), rng.uniform(*kind.for_s)
    return round(at_s + for_s + 1, 2), [_fault(setup, kind, at_s, for_s, rng)]


def _feed(rng: random.Random) -> FeedPlan:
    return FeedPlan(rng.randint(200, 500), rng.choice((1, 1, 1, 20)), rng.choice((8, 16, 40)), rng.randrange(2**32))


def _fault(setup: str, kind: Kind, at_s: float, for_s: float, rng: random.Random) -> Fault:
    target, more = _target(setup, kind.name, rng)
    return Fault(kind.name, target, round(at_s, 2), round(for_s, 2), kind.kill, more)


def _target(setup: str, name: str, rng: random.Random) -> tuple[str, dict[str, Any]]:
    what, _, which = name.partition("-")
    broker = f"broker/{rng.randrange(BROKERS[setup])}"
    if what in ("kill", "stop", "zombie", "clock"):
        more = {"hours": rng.choice(CLOCK_HOURS)} if what == "clock" else {}
        return f"{which}/{rng.randrange(WORKERS[which])}", more
    if what in ("define", "upgrade"):
        number = rng.randrange(WORKERS["index"])
        return ("dti-2023" if what == "define" else f"index/{number}"), {"platform": round(rng.uniform(0.2, 0.6), 2)}
    if what == "rebuild":
        return f"partition/{rng.randrange(PARTITIONS)}", {}
    if what == "scale":
        return "ingest", {"counts": list(SCALE)}
    if what == "redis":
        # a replica now and then, where there are any
        replica = setup != "a" and which == "kill" and rng.random() < 0.3
        more = {"replica": True} if replica else {}
        if which == "memory":
            more["bytes"] = rng.choice((1 << 20, 2 << 20))
        if which == "slow":
            more["delay_s"] = round(rng.uniform(0.005, 0.05), 3)
        return f"redis/p{rng.randrange(PARTITIONS)}", more
    if name == "broker-leader-kill":
        topic = rng.choice((EVENTS, EVENTS, DLQ, *OUTPUTS, DELTAS))
        return f"leader/{topic}/{rng.randrange(PARTITIONS)}", {}
    if name == "broker-coordinator-kill":
        return rng.choice(("coordinator/transactions", "coordinator/ingest", "coordinator/index")), {}
    if name == "broker-slow":
        return broker, {"delay_s": round(rng.uniform(0.02, 0.5), 3)}
    if name == "broker-cut":
        role = rng.choice(("ingest", "index", "alert"))
        return broker, {
            "worker": f"{role}/{rng.randrange(WORKERS[role])}",
            "how": rng.choice(("reset", "silent")),
        }
    return (broker if what == "broker" else "indicator-events"), {}
