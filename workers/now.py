"""What the cells in Redis say now, of one system: a board of a command's own, which publishes nothing.

Cells are read as the index worker reads them, partition by partition, each whole; the definition in force comes from
`control`, and the last committed revision tells whether the index worker has come as far.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from index.board import Board
from index.catalogue import Catalogue
from index.definition import Definition
from state.keys import Partition
from stream.errors import UnreachableError
from stream.messages import ControlVersion, Revision
from stream.published import read_revision
from stream.topics import ANSWER_S, EVENTS, partitions_of_topic
from workers.define import known_system, version_of
from workers.health import Health
from workers.hub import Cut, Hub
from workers.redis_client import make_redis
from workers.settings import Settings

LOAD_S = 60.0  # above any load that makes sense; a server that is away is said sooner, by its name


@dataclass(frozen=True, slots=True)
class Now:
    """`boards`: of each text asked for, at the same `cut`; `revision`: the last committed one, None before any."""

    control: ControlVersion
    catalogue: Catalogue
    boards: list[Board]
    cut: Cut
    revision: Revision | None

    def where(self) -> dict[str, object]:
        """Where it stands, for JSON: the offsets of the cells, and the last revision and whether its are the same."""
        return {
            "definition": self.control.version,
            "catalogue": self.catalogue.version,
            "revision": None if self.revision is None else self.revision.revision,
            "at_revision": self.revision is not None and self.revision.offsets == self.cut.offsets,
            "offsets": self.cut.offsets,
            "watermark": self.cut.watermark_us,
        }

    def said(self) -> str:
        """The same for people."""
        offsets = ", ".join(f"{p}: {o}" for p, o in self.cut.offsets.items())
        if self.revision is None:
            return f"cells at offsets {offsets}; no revision is committed yet"
        if self.revision.offsets == self.cut.offsets:
            return f"as of revision {self.revision.revision} (definition {self.control.version}; offsets {offsets})"
        behind = sum(self.cut.offsets.values()) - sum(self.revision.offsets.values())
        which = f"{behind} messages ahead of" if behind > 0 else "not at"
        return f"cells at offsets {offsets}, {which} the last committed revision {self.revision.revision}"


def board_now(settings: Settings, system: str, texts: Callable[[str], list[str]] = lambda text: [text]) -> Now:
    """The system's present state. `texts`: from the definition in force, those to make a board of (one each).

    Reads only. Blocking. Errors: ValueError (no such system), DefinitionError, UnreachableError, MessageError, and
    those of state that cannot be read.
    """
    control = version_of(known_system(settings, system), system, None)
    chosen = texts(control.definition)
    hub = asyncio.run(load_cells(settings))
    cut, boards = hub.cut(), []
    for text in chosen:
        board = Board(Definition.parse(text, hub.catalogue, f"{system} version {control.version}"), hub.catalogue)
        board.apply(hub.cells.everything())
        board.watermark(cut.watermark_us)
        board.diff()
        boards.append(board)
    revision = read_revision(settings.kafka, system, settings.kafka_options)
    return Now(control, hub.catalogue, boards, cut, revision)


async def load_cells(settings: Settings) -> Hub:
    """All cells, once, in a hub that follows nothing. Errors: UnreachableError, those of state that cannot be read."""
    partitions = partitions_of_topic(settings.kafka, EVENTS, settings.kafka_options)
    redis, health = make_redis(settings.redis), Health("command")
    try:
        try:
            await asyncio.wait_for(redis.ping(), ANSWER_S)
        except Exception as error:
            raise UnreachableError(f"Redis does not answer: {error}") from None
        hub = Hub(redis, [Partition(p) for p in partitions], health)
        try:
            await asyncio.wait_for(hub.start(), LOAD_S)
        except TimeoutError:
            why = "; ".join(f"{what}: {reason}" for what, reason in health.waiting.items()) or "it takes too long"
            raise UnreachableError(f"the cells were not loaded within {LOAD_S:.0f} s: {why}") from None
        return hub
    finally:
        await redis.aclose()
