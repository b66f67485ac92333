"""Plays a walk of the model on the product: each label is one step of real workers on a real Redis and a real Kafka.

After each step what Redis, the workers and the committed topics hold is compared with the model's state. Labels are
those of model_ingest, model_index and model_faults; the one place that knows how to do each is `Player.play`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from model_explore import broken
from model_log import NewCatalogue
from model_rules import Rule
from model_setups import Setup
from model_state import State
from model_walks import Walk
from player_index import PlayedIndex
from player_ingest import WHOLE_FEED, PlayedIngest
from player_kafka import Logs, OtherSystem, Outputs
from player_world import P, begin, held
from redis.asyncio import Redis

from stream.letters import LetterBox
from tests.state.partition import dumped, put_back
from workers.settings import Settings


class Player:
    """One walk. `without`: the classes that the workers are made of (player_without.Without)."""

    def __init__(self, redis: Redis, logs: Logs, letters: LetterBox, setup: Setup, start: State, without: Any) -> None:
        self.redis, self.without, self.rules = redis, without, without.rules
        self._logs, self._letters, self._setup = logs, letters, setup
        self.system = logs.new_system()
        self._settings = Settings(kafka=logs.kafka, robustness="off")
        self.state = start
        self.log = setup.logs[start.order]
        self.ingest: dict[int, PlayedIngest] = {}
        self.index: dict[int, PlayedIndex] = {}
        self.outputs: Outputs | None = None
        self._publishing, self._commits = True, 0
        self._other: OtherSystem | None = None
        self._base: dict[str, bytes] = {}
        self._durable: dict[str, bytes] = {}

    async def begin(self) -> None:
        """Redis, and the consumer of the outputs, as they are before the first step."""
        await self.redis.flushdb()
        await begin(self.redis)
        self._base = self._durable = await dumped(self.redis, P)
        if self._publishing:
            self.outputs = await asyncio.to_thread(Outputs, self._logs.kafka, self.system)

    async def end(self) -> None:
        """Nothing of it goes on."""
        for worker in [*self.ingest.values(), *self.index.values()]:
            await worker.crash()
        await self._other_ends()
        if self.outputs is not None:
            self.outputs.close()

    async def play(self, walk: Walk) -> None:
        """Do every step, and compare after each. Raises AssertionError naming the steps so far."""
        done: list[str] = []
        self._publishing = any(label[0] == "initialise" for label, _ in walk)
        await self.begin()
        try:
            for label, after in walk:
                done.append(" ".join(map(str, label)))
                await self._step(label, after)
                self.state = after
                self._commits += label[0] in ("commit", "commit, reply lost")
                await self.compare(after, committed=label[0].startswith("commit") or label[0] == "other ends")
        except BaseException as error:
            error.add_note("played:\n" + "\n".join(f"  {n:2} {line}" for n, line in enumerate(done, 1)))
            raise

    async def _step(self, label: tuple, after: State) -> None:
        what, *how = label
        before = self.state
        if what == "not done":
            await self._not_done(tuple(how), after)
        elif what in INGEST:
            await self._ingest_step(what, *how, after=after)
        elif what in INDEX:
            await self._index_step(what, *how, before=before, after=after)
        elif what == "redis persists":
            self._durable = await dumped(self.redis, P)
        elif what == "redis goes back":
            await put_back(self.redis, self._durable, P)
            self._durable = self._base
        elif what == "other opens":
            self._other = await asyncio.to_thread(OtherSystem, self._logs.kafka, self.system)
        elif what == "other ends":
            await self._other_ends()
        elif what == "publish catalogue":
            self.without.catalogue_published(how[0])
        else:
            assert what in ("move p", "move system", "define"), what

    async def _not_done(self, label: tuple, after: State) -> None:
        """A step that the rules do not allow: what the product would do it with is tried, and nothing comes of it."""
        what, *how = label
        if what == "publish catalogue":
            self.log = (*self.log, NewCatalogue(how[0]))
        elif what == "flush" and how[0] in self.ingest:
            assert self.ingest[how[0]].owned is None, f"{label}: it owns"
        elif what == "commit" and after.index[how[0]].phase == "reconciled":
            await self.index[how[0]].waits_for_the_cells()

    async def _ingest_step(self, what: str, w: int, *how: Any, after: State) -> None:
        if w not in self.ingest:
            played = PlayedIngest(f"ingest {w}", self.redis, self._letters, self.without.ingest, self._settings)
            self.ingest[w] = await played.started()
        worker = self.ingest[w]
        if what == "tell ingest":
            await worker.tell(how[0])
        elif what == "acquire":
            await worker.acquire(*(() if Rule.ACQUIRE_IS_LOAD in self.rules else ("load mirror",)))
        elif what == "load mirror":
            worker.gates.let("load mirror")
            await worker.acquired()
        elif what == "watch refuses":
            await worker.look()
        elif what == "crash ingest":
            await self.ingest.pop(w).crash()
        else:
            keeps = int(how[2].removeprefix("keeps ")) if len(how) > 2 else 1
            whole = keeps == len(self.state.redis.feed) + 1
            messages = self._logs.messages(self.log)
            size = WHOLE_FEED if whole else 0 if keeps else -1
            await worker.flush(messages, how[0], how[1], feed_bytes=size, lost=what == "flush, reply lost")

    async def _index_step(self, what: str, w: int, *how: Any, before: State, after: State) -> None:
        if w not in self.index:
            self.index[w] = PlayedIndex(f"index {w}", self.redis, self._settings, self.system, self.without.runner)
        worker, was, now = self.index[w], before.index[w], after.index[w]
        first = self.first_gate
        if what == "tell index":
            await worker.tell(how[0], after.definition)
        elif what in ("load", "load not adopted", "load, newer catalogue"):
            await worker.load(now.told, after.definition)
            if was.phase == "running" != now.phase:
                await worker.board_is_void()
        elif what in ("read offset", "read cells", "read offset again, equal", "read offset again, another"):
            fresh = not worker.started
            worker.gates.let(what.partition(",")[0])
            await worker.gates.comes_to("feed", "read offset", "read cells", "read offset again")
            await worker.loaded(fresh, now.told, after.definition)
        elif what in ("feed gap", "silent gap", "newer catalogue", "read"):
            await worker.feed("feed" if what == "read" else self.load_gate)
        elif what == "initialise":
            worker.gates.let("initialise")
            await worker.gates.comes_to("read back", "result")
        elif what == "read back":
            await worker.read_back(now.definition)
        elif what == "nothing differs":
            worker.gates.let("result")
            await worker.gates.comes_to("follow")
        elif what == "switch":
            await worker.switch(after.definition)
        elif what == "crash index":
            await self.index.pop(w).crash()
        else:
            lost, fenced = what == "commit, reply lost", what == "commit fenced"
            then = first if lost or (fenced and now.phase == "idle" and now.told) else None if fenced else "follow"
            due = how[-1] == "with table"
            await worker.commit(then, first=was.phase == "reconciled", due=due, lost=lost)

    @property
    def first_gate(self) -> str:
        """Where a reconcile begins."""
        return "initialise" if Rule.INITIALISE_FIRST in self.rules else "read back"

    @property
    def load_gate(self) -> str:
        """Where a load begins."""
        return "load" if Rule.LOAD_IS_ONE in self.rules else "read offset"

    # --- comparing -------------------------------------------------------------------------------------------------

    async def compare(self, model: State, committed: bool = False) -> None:
        """Whether all that is real stands as the model does."""
        token, redis = await held(self.redis)
        wanted = model.redis
        assert redis.offset == wanted.offset
        assert redis.mirror == wanted.mirror
        assert redis.last_id == wanted.last_id
        feed = tuple(e._replace(rows=tuple(row is not None for row in e.rows)) for e in wanted.feed)
        assert redis.feed == feed
        for w, ingest in self.ingest.items():
            ingest.compare(model.ingest[w], token, model.ingest[w].token == wanted.token)
        for w, index in self.index.items():
            index.compare(model.index[w], self.first_gate)
        if committed and self.outputs is not None and not model.topics.hidden:
            await self.compare_outputs(model)

    async def compare_outputs(self, model: State) -> None:
        """Whether a consumer of the committed topics has what the model says is committed."""
        outputs, wanted = self.outputs, model.topics
        assert outputs is not None
        revision = wanted.revision
        expected = self._commits, revision[:3], revision.meta, revision.values, wanted.table
        await asyncio.to_thread(outputs.follow, lambda: outputs.seen() == expected, lambda: f"expected: {expected}")

    async def nudge(self) -> None:
        """Let every worker do what it does by itself, where the model says that none of them has anything to do."""
        for ingest in self.ingest.values():
            await ingest.look()
        for w, index in self.index.items():
            if "feed" in index.gates.at and self.state.index[w].told:
                await index.feed("feed")
            if "follow" in index.gates.at:
                index.gates.let("follow")
                await index.gates.comes_to("follow")
        await self.compare(self.state, committed=True)

    async def contradiction(self) -> str:
        """What contradicts itself in all that was committed, as a consumer got it; "" if nothing does."""
        outputs = self.outputs
        if outputs is None:
            return ""
        await self._other_ends()
        await asyncio.to_thread(outputs.follow, lambda: outputs.whole(self._commits))
        return outputs.contradiction()

    async def _other_ends(self) -> None:
        if self._other is not None:
            await asyncio.to_thread(self._other.end)
            self._other = None

    def is_broken(self) -> str:
        """What must never be and is: the model's judgement of a state that the product was found to be in."""
        return broken(self.state, self.log, self.rules)


INGEST = (
    "tell ingest", "acquire", "load mirror", "watch refuses", "crash ingest", "flush", "flush, reply lost",
    "flush was applied", "flush refused", "feed refuses the id",
)  # fmt: skip
INDEX = (
    "tell index", "load", "load not adopted", "load, newer catalogue", "read offset", "read cells",
    "read offset again, equal", "read offset again, another", "feed gap", "silent gap", "newer catalogue", "read",
    "initialise", "read back", "nothing differs", "switch", "crash index", "commit", "commit, reply lost",
    "commit fenced",
)  # fmt: skip
