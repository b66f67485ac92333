"""What the world of the model consists of: one partition, Redis, the output topics, two workers of each kind.

Everything is a tuple, so a state can be hashed and compared. `()` stands for "none" (None cannot be ordered).
Workers are numbers: 0 and 1. A token is a small number too, the least that nobody knows: what makes a token is only
that it is new. `canonical` names one state of those that differ by which worker is called 0.
"""

from typing import NamedTuple

from model_log import Cells, Meta, Mirror


class Entry(NamedTuple):
    """One flush in the change feed: `rows` absolute, `meta` of the position `end`."""

    start: int
    end: int
    rows: tuple
    meta: Meta


class Redis(NamedTuple):
    """`{tw:p}:*`. `last_id`: of the stream, which Redis keeps when entries are trimmed."""

    token: int = 0
    offset: int = 0
    mirror: Mirror = Mirror()
    feed: tuple = ()
    last_id: int = 0


class Ingest(NamedTuple):
    """An ingest worker. `told`: whether Kafka assigns it p, as far as it knows. Token 0: it owns nothing."""

    told: bool = False
    token: int = 0
    offset: int = 0
    mirror: tuple = ()
    stopped: bool = False
    pending: int = 0  # end of the flush whose reply was lost, to be sent again


class Revision(NamedTuple):
    """One transaction's content: `values` are the last of each key of index-updates, with this revision in them."""

    number: int = 0
    offset: int = 0
    definition: int = 1
    values: tuple = ()
    meta: Meta = Meta()


class Index(NamedTuple):
    """An index worker: its hub (offset -1: nothing loaded yet) and the runner of the one system.

    `phase`: "idle", "half" (the first of initialise and read back is done), "reconciled" (nothing is published since),
    "running", "stopped". `last`: what it believes to be published.
    """

    told: bool = False
    offset: int = -1
    cells: Cells = Cells()
    meta: Meta = Meta()
    loading: tuple = ()  # (-1,): a gap was found; without LOAD_IS_ONE (offset,) or (offset, mirror) read so far
    phase: str = "idle"
    definition: int = 1
    last: Revision = Revision()

    def quiet(self) -> "Index":
        """Without what only a runner that is running knows: states that differ in it alone are one."""
        return self._replace(definition=1, last=Revision())


class Topics(NamedTuple):
    """Committed outputs. `producer`: who initialised last. `hidden`: () or (what lies below the last stable offset)."""

    revision: Revision = Revision()
    table: tuple = ()  # values as `rankings` has them, which may lag
    producer: int = -1
    hidden: tuple = ()


class Left(NamedTuple):
    """How often each thing from outside may still happen."""

    move: int = 0  # Kafka gives p to the other ingest worker
    move_control: int = 0  # Kafka gives the system to the other index worker
    rewind: int = 0  # Redis goes back to an earlier durable state
    crash: int = 0  # of an ingest worker
    crash_index: int = 0
    lost_reply: int = 0  # of a flush or of a commit
    open: int = 0  # another system opens a transaction
    define: int = 0  # another definition is put in force
    publish: int = 0  # without CATALOGUE_IN_LOG: a new catalogue is published


class State(NamedTuple):
    """All of it. `wrong`: what a step did that must never happen."""

    order: int  # which arrival order of the events the log has
    redis: Redis
    durable: Redis
    ingest: tuple[Ingest, ...]
    index: tuple[Index, ...]
    topics: Topics
    left: Left
    assignee: int = 0  # of p
    control: int = 0  # whom the system is assigned to
    definition: int = 1  # in force
    version: int = 1  # of the catalogue that is published
    wrong: str = ""

    def ingest_with(self, w: int, worker: Ingest, **others: object) -> "State":
        """With another state of ingest worker `w`."""
        return self._replace(ingest=_with(self.ingest, w, worker), **others)

    def index_with(self, w: int, worker: Index, **others: object) -> "State":
        """With another state of index worker `w`."""
        return self._replace(index=_with(self.index, w, worker), **others)

    def spend(self, name: str) -> "State":
        """One less left of the thing `name`."""
        return self._replace(left=self.left._replace(**{name: getattr(self.left, name) - 1}))

    def new_token(self) -> int:
        """A token that nobody knows."""
        known = {self.redis.token, self.durable.token, *(worker.token for worker in self.ingest)}
        return next(token for token in range(1, len(known) + 2) if token not in known)


def _with(workers: tuple, w: int, worker: tuple) -> tuple:
    return (*workers[:w], worker, *workers[w + 1 :])


def canonical(state: State) -> State:
    """The same for all states that differ by which worker of a kind is called 0 only."""
    if len(state.ingest) == 2:
        a, b = state.ingest
        if b < a or (a == b and state.assignee):
            state = state._replace(ingest=(b, a), assignee=1 - state.assignee)
    if len(state.index) == 2:
        (a, b), producer = state.index, state.topics.producer
        other = 1 - producer if producer >= 0 else producer
        if b < a or (a == b and (1 - state.control, other) < (state.control, producer)):
            topics = state.topics if other == producer else state.topics._replace(producer=other)
            state = state._replace(index=(b, a), control=1 - state.control, topics=topics)
    return state
