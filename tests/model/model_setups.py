"""The worlds that are explored: each is small, so that all of it can be tried, and large enough for its rules.

Every setup is explored with all rules on, and the one that test_model.py names for a rule without it. `EVERYTHING` has
both kinds of workers, two of each.
"""

from dataclasses import dataclass

from model_log import Event, NewCatalogue
from model_state import Index, Ingest, Left, Redis, State, Topics


@dataclass(frozen=True)
class Setup:
    """Workers, the log (in each of the orders in which its events may arrive), and what may happen from outside."""

    name: str
    logs: tuple
    left: Left
    ingest: int
    index: int

    def starts(self) -> list[State]:
        """The states in which it may begin: one for each order of arrival."""
        workers = (Ingest(),) * self.ingest, (Index(),) * self.index
        return [State(order, Redis(), Redis(), *workers, Topics(), self.left) for order in range(len(self.logs))]


ONE = Event(1, 1, at=10, value=5)
TWO = Event(1, 2, at=20, value=7)
LATE = Event(2, 1, at=5, value=-2)
STOCK, SAME_TIME = Event(1, 3, at=30, value=8, stock=True), Event(2, 3, at=30, value=9, stock=True)
NEW = Event(1, 4, at=40, value=3, since=2)

HANDOVER = Setup("handover", ((ONE, ONE, LATE),), Left(move=3), ingest=2, index=0)
OWNERSHIP = Setup("ownership", ((ONE, ONE),), Left(move=2, rewind=1, crash=1, lost_reply=1), ingest=2, index=0)
REWINDS = Setup("rewinds", ((ONE, LATE),), Left(move=1, rewind=2), ingest=2, index=0)
STOCKS = Setup("stocks", ((STOCK, SAME_TIME), (SAME_TIME, STOCK)), Left(move=1, rewind=1), ingest=2, index=0)
FEED = Setup("feed", ((ONE, STOCK, LATE),), Left(rewind=1, crash_index=1), ingest=1, index=1)
RESTART = Setup("restart", ((ONE, STOCK),), Left(rewind=1, crash_index=1, crash=1), ingest=1, index=1)
CATALOGUE = Setup("catalogue", ((ONE, NewCatalogue(2), NEW),), Left(rewind=1, crash_index=1), ingest=1, index=1)
# A catalogue that is published beside the log: possible only without its rule; with it, NEW is a reject for ever.
UNLOGGED = Setup("unlogged", ((ONE, NEW),), Left(rewind=1, publish=1), ingest=1, index=1)
TURN = Setup("turn", ((ONE,),), Left(move_control=2), ingest=1, index=2)
PUBLISHING = Setup("publishing", ((ONE, TWO),), Left(move_control=1, lost_reply=1), ingest=1, index=2)
OPEN = Setup("open", ((ONE,),), Left(move_control=1, crash_index=1, open=1), ingest=1, index=2)
DEFINE = Setup("define", ((ONE, STOCK),), Left(move_control=1, define=1), ingest=1, index=2)
EVERYTHING = Setup("everything", ((ONE,),), Left(move=1, move_control=1, rewind=1), ingest=2, index=2)
SETUPS: tuple[Setup, ...] = (
    HANDOVER,
    OWNERSHIP,
    REWINDS,
    STOCKS,
    FEED,
    RESTART,
    CATALOGUE,
    UNLOGGED,
    TURN,
    PUBLISHING,
    OPEN,
    DEFINE,
    EVERYTHING,
)
