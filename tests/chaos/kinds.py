"""The kinds of faults, as data: how often each is drawn, where it is possible, how long it lasts, what it needs.

What a kind does is in tests/chaos/faults.py and its neighbours, under the same name.
"""

from __future__ import annotations

from dataclasses import dataclass

ALL = ("a", "b", "c")
WORKER_ROLES = ("ingest", "index", "alert")
SESSION_S = 6.0  # the least that a broker allows: after so much silence Kafka gives a worker's share to others


@dataclass(frozen=True)
class Kind:
    """`weight`: how often it is drawn beside the others; `for_s`: the least and the most that it lasts; `kill`: how
    many processes it kills; `most`: in one round; `needs`: what the machine must have, by the names of
    `faults.lacking`.
    """

    name: str
    weight: float
    for_s: tuple[float, float] = (0.0, 0.0)
    kill: int = 0
    most: int = 99
    setups: tuple[str, ...] = ALL
    needs: str = ""


_SILENT = (SESSION_S + 1, SESSION_S + 5)

KINDS = {
    kind.name: kind
    for kind in (
        # workers
        Kind("kill-ingest", 24, kill=1),
        Kind("kill-index", 16, kill=1),
        Kind("kill-alert", 5, kill=1),
        Kind("stop-ingest", 3),
        Kind("stop-index", 3),
        Kind("stop-alert", 1),
        Kind("zombie-ingest", 2, _SILENT, most=2),
        Kind("zombie-index", 2, _SILENT, most=2),
        Kind("zombie-alert", 1, _SILENT, most=1),
        Kind("clock-ingest", 1, (4, 12), kill=2, most=1, needs="cc"),
        Kind("clock-index", 1, (4, 12), kill=2, most=1, needs="cc"),
        Kind("clock-alert", 0.5, (4, 12), kill=2, most=1, needs="cc"),
        Kind("scale", 0.7, (16, 20), most=1),
        Kind("define", 2, most=3),
        Kind("upgrade", 1, most=2),
        Kind("catalogue", 0.7, most=1),
        Kind("rebuild", 1, most=2),
        Kind("restore", 1, (1, 5), most=1),
        # Redis
        Kind("redis-kill", 16, (0.0, 1.5), kill=1),
        Kind("redis-back", 3, (1.5, 5), kill=1, most=3),
        Kind("redis-emptied", 0.4, kill=1, most=1, setups=("a",)),
        Kind("redis-failover", 3, most=3, setups=("b", "c")),
        Kind("redis-lagging", 3, (0.5, 3), kill=1, most=2, setups=("b", "c")),
        Kind("redis-memory", 2, (1, 4), most=2),
        Kind("redis-drop", 3, (0.5, 2), most=4, setups=("a",)),
        Kind("redis-slow", 1, (2, 5), most=1, setups=("a",)),
        # Kafka
        Kind("broker-kill", 2, (0.2, 3), kill=1, most=2),
        Kind("broker-leader-kill", 2, (0.2, 3), kill=1, most=2),
        Kind("broker-coordinator-kill", 2, (0.2, 3), kill=1, most=2),
        Kind("broker-stop", 0.5, (0.2, 2), most=1),
        Kind("broker-slow", 1.5, (2, 6), most=2),
        Kind("broker-drop", 3, (0.5, 2), most=4),
        Kind("broker-cut", 2, (2, 9), most=2),
        Kind("broker-disk", 1, (1, 3), most=1),
    )
}
# Of these a round has at most so many together: each takes seconds in which nothing can be published.
DOWN = ("broker-kill", "broker-leader-kill", "broker-coordinator-kill", "broker-stop", "broker-disk")
DOWN_MOST = 3


def possible(setup: str, lacking: frozenset[str] = frozenset()) -> list[Kind]:
    """The kinds that a set-up knows, without those that need something which is lacking."""
    return [kind for kind in KINDS.values() if setup in kind.setups and kind.needs not in lacking]
