"""The durable part of a state as small pieces, each a record of its own beside the alerts; only those that changed are
written.

    head            revision, watermark, day
    pending         conditions that wait for their hold time
    ended           silences that resolved of late
    sources         positions of the sources
    base            totals at the start of the day under way
    day/<n>         one day's flows, n = day mod MAX_REACH: a ring
    closed/<period> values at closing
    watched         rankings whose ranks are kept
    ranks/<ranking>/<period>

Matrices are little-endian doubles with the names of their rows and nodes, so a new catalogue reads an old one's.
Alerts that fire or are held are no pieces: they stand on the topic under their own keys (`State.alerts`).
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping

import msgspec
import numpy as np

from index.rules.rule import MAX_REACH
from index.rules.state import Matrix, Source, State, rank_piece
from index.rules.world import World


class _Head(msgspec.Struct):
    revision: int
    watermark_us: int | None
    day: int | None


class _Matrix(msgspec.Struct):
    day: int
    rows: list[str]
    nodes: list[str]
    values: str


_encode = msgspec.json.Encoder().encode
_head = msgspec.json.Decoder(_Head)
_matrix = msgspec.json.Decoder(_Matrix)
_pending = msgspec.json.Decoder(list[tuple[str, str, int]])
_sources = msgspec.json.Decoder(tuple[int | None, dict[str, tuple[int, int, int, int, int]]])
_closed = msgspec.json.Decoder(dict[str, tuple[float, float]])
_watched = msgspec.json.Decoder(frozenset[str])
_ranks = msgspec.json.Decoder(tuple[int, dict[str, int]])


def take_pieces(world: World, state: State) -> dict[str, bytes | None]:
    """What changed since the last call, by name; None: the piece is no more. The head is always there."""
    out: dict[str, bytes | None] = {"head": _encode(_Head(state.revision, state.watermark_us, state.day))}
    for name in sorted(state.touched):
        out[name] = _piece(world, state, name)
    state.touched.clear()
    return out


def all_pieces(world: World, state: State) -> dict[str, bytes]:
    """The whole durable part but the alerts."""
    names = {"pending", "ended", "sources", "base", "watched", *(f"closed/{period}" for period in state.closed)}
    names |= {rank_piece(key) for key in state.ranks}
    names |= {f"day/{day % MAX_REACH}" for day in state.flows}
    made = {"head": _encode(_Head(state.revision, state.watermark_us, state.day))}
    return {**made, **{n: piece for n in sorted(names) if (piece := _piece(world, state, n)) is not None}}


def _piece(world: World, state: State, name: str) -> bytes | None:
    if name in ("pending", "ended"):
        held = state.pending if name == "pending" else state.ended
        return _encode([(rule, subject, at_us) for (rule, subject), at_us in sorted(held.items())])
    if name == "sources":
        sources = {n: (s.top, s.first_us, s.since_us, s.longest_us, s.moves) for n, s in sorted(state.sources.items())}
        return _encode((state.heard_us, sources))
    if name == "base":
        return None if state.base is None else _encode(_wrap(world, state.day or 0, state.base))
    if name == "watched":
        return _encode(sorted(state.watched))
    kind, _, which = name.partition("/")
    if kind == "ranks":
        ranking, _, period = which.partition("/")
        key = ranking, period
        return _encode((state.rank_revision[key], state.ranks[key])) if key in state.ranks else None
    if kind == "closed":
        return _encode(state.closed[which]) if which in state.closed else None
    found = [day for day in state.flows if day % MAX_REACH == int(which)]
    return _encode(_wrap(world, found[0], state.flows[found[0]])) if found else None


def restore(world: World, pieces: Mapping[str, bytes]) -> State:
    """The state of these pieces; the view is empty, and is read back from `index-updates`.

    Errors: msgspec.MsgspecError, ValueError for what no version of ours wrote.
    """
    state = State()
    for name, raw in pieces.items():
        kind = name.partition("/")[0]
        if kind == "head":
            head = _head.decode(raw)
            state.revision, state.watermark_us, state.day = head.revision, head.watermark_us, head.day
        elif kind == "pending":
            state.pending = {(rule, subject): since for rule, subject, since in _pending.decode(raw)}
        elif kind == "ended":
            state.ended = {(rule, subject): at_us for rule, subject, at_us in _pending.decode(raw)}
        elif kind == "sources":
            state.heard_us, sources = _sources.decode(raw)
            state.sources = {name: Source(*source) for name, source in sources.items()}
        elif kind == "closed":
            state.closed[name.partition("/")[2]] = _closed.decode(raw)
        elif kind == "watched":
            state.watched = _watched.decode(raw)
        elif kind == "ranks":
            _, ranking, period = name.split("/")
            state.rank_revision[ranking, period], state.ranks[ranking, period] = _ranks.decode(raw)
        elif kind in ("base", "day"):
            held = _matrix.decode(raw)
            if kind == "base":
                state.base = _unwrap(world, held)
            else:
                state.flows[held.day] = _unwrap(world, held)
    day = state.day
    state.flows = {d: state.flows[d] for d in sorted(state.flows) if day is not None and day - MAX_REACH <= d < day}
    return state


def _wrap(world: World, day: int, matrix: Matrix) -> _Matrix:
    packed = zlib.compress(np.ascontiguousarray(matrix, "<f8").tobytes(), 1)
    return _Matrix(day, list(world.codes), list(world.nodes), base64.b64encode(packed).decode())


def _unwrap(world: World, held: _Matrix) -> Matrix:
    values = np.frombuffer(zlib.decompress(base64.b64decode(held.values)), "<f8")
    old = values.reshape(len(held.rows), len(held.nodes))
    matrix = np.full((len(world.codes), len(world.nodes)), np.nan)
    rows = [(new, place) for place, code in enumerate(held.rows) if (new := world.row_of.get(code)) is not None]
    nodes = [(new, place) for place, name in enumerate(held.nodes) if (new := world.node_of.get(name)) is not None]
    if rows and nodes:
        (to_row, from_row), (to_node, from_node) = zip(*rows, strict=True), zip(*nodes, strict=True)
        matrix[np.ix_(to_row, to_node)] = old[np.ix_(from_row, from_node)]
    return matrix
