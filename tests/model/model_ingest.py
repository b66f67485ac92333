"""Steps of the ingest workers, and the flush script. Each yields (label, next state); a label is (action, worker, ...).

A flush is one step here: until it is refused a worker does nothing else with the partition, and what it decodes
meanwhile is seen by nobody. So "late" means: not done yet.
"""

from collections.abc import Iterator

from model_log import NOT_YET, Meta, Mirror, NewCatalogue, applied, changed, fold
from model_rules import Rule
from model_state import Entry, Ingest, Redis, State

Step = tuple[tuple, State]


def steps(state: State, log: tuple, rules: frozenset) -> Iterator[Step]:
    """What ingest workers may do next."""
    for w, worker in enumerate(state.ingest):
        assigned = state.assignee == w
        if worker.told != assigned and not worker.pending:
            # on_assign, or on_revoke: then nothing more is added, a flush under way is finished, and the partition is
            # dropped.
            yield ("tell ingest", w, assigned), state.ingest_with(w, Ingest(told=assigned))
        if worker.told and not worker.token and not worker.stopped:
            yield _acquire(state, w, rules)
        if worker.token and not worker.mirror:
            yield ("load mirror", w), state.ingest_with(w, worker._replace(mirror=state.redis.mirror))
        elif worker.token:
            for end in _ends(worker, log):
                yield from _flushes(state, w, end, log, rules)
            redis = state.redis
            stands = redis.token, redis.offset
            if Rule.WATCH in rules and not worker.pending and stands != (worker.token, worker.offset):
                yield ("watch refuses", w), _refused(state, w, rules)


def _acquire(state: State, w: int, rules: frozenset) -> Step:
    """acquire.lua: a new token goes in, the whole state comes out, in one step."""
    token = state.new_token()
    redis = state.redis._replace(token=token)
    mirror = redis.mirror if Rule.ACQUIRE_IS_LOAD in rules else ()
    worker = state.ingest[w]._replace(token=token, offset=redis.offset, mirror=mirror)
    return ("acquire", w, redis.offset), state.ingest_with(w, worker, redis=redis)


def _ends(worker: Ingest, log: tuple) -> Iterator[int]:
    """Where a batch that begins at the worker's offset may end: a record with a catalogue ends it."""
    if worker.pending:
        yield worker.pending
        return
    for end in range(worker.offset + 1, len(log) + 1):
        yield end
        if isinstance(log[end - 1], NewCatalogue):
            return


def _refused(state: State, w: int, rules: frozenset) -> State:
    """IngestWorker._recover: still assigned (as far as it knows): acquire again; else stop."""
    told = state.ingest[w].told
    return state.ingest_with(w, Ingest(told=told, stopped=Rule.REFUSED_ASKS not in rules))


def _flushes(state: State, w: int, end: int, log: tuple, rules: frozenset) -> Iterator[Step]:
    worker, redis = state.ingest[w], state.redis
    mirror = fold(worker.mirror, log[worker.offset : end], rules, state.version)
    done = worker._replace(offset=end, mirror=mirror, pending=0)
    if isinstance(log[end - 1], NewCatalogue):
        done = Ingest(told=worker.told)  # the mirror is void: acquire again under the new catalogue
    label = "flush", w, worker.offset, end
    if redis.token == worker.token and redis.offset == end:
        # state.flush: it stands at our end under our token, so the flush whose reply was lost was applied.
        yield ("flush was applied", *label[1:]), state.ingest_with(w, done)
        return
    for keep in _kept(redis, rules):
        after, refusal = flush(redis, worker, end, mirror, keep, rules)
        if refusal:
            yield (refusal, *label[1:]), _refused(state._replace(redis=after), w, rules)
            return
        yield (*label, f"keeps {keep}"), state.ingest_with(w, done, redis=after)
        if state.left.lost_reply:
            waits = state.spend("lost_reply").ingest_with(w, worker._replace(pending=end), redis=after)
            yield ("flush, reply lost", *label[1:], f"keeps {keep}"), waits


def _kept(redis: Redis, rules: frozenset) -> Iterator[int]:
    """How many entries the feed may hold after the next one: all, or the newest alone (its bytes are bounded)."""
    yield len(redis.feed) + 1
    if redis.feed:
        yield 1
    if Rule.NEWEST_STAYS not in rules:
        yield 0


def flush(redis: Redis, worker: Ingest, end: int, mirror: Mirror, keep: int, rules: frozenset) -> tuple[Redis, str]:
    """flush.lua: (Redis after it, "" or what refused)."""
    written = redis._replace(mirror=_written(redis.mirror, worker.mirror, mirror))
    if Rule.CHECKS_FIRST in rules:
        if (redis.token, redis.offset) != (worker.token, worker.offset):
            return redis, "flush refused"
    elif end <= redis.last_id:
        return written, "feed refuses the id"  # what the script wrote before stays
    entry = Entry(worker.offset, end, changed(worker.mirror.cells, mirror.cells), mirror.meta)
    feed = (*redis.feed, entry)
    return written._replace(offset=end, feed=feed[len(feed) - keep :], last_id=end), ""


def _written(held: Mirror, before: Mirror, after: Mirror) -> Mirror:
    """What Redis holds when the owner's mirror went from `before` to `after`: absolute values of what changed only."""
    touched = {source for source, _ in set(after.windows) - set(before.windows)}
    kept = tuple(mark for mark in held.windows if mark[0] not in touched)
    marked = tuple(mark for mark in after.windows if mark[0] in touched)
    cells = applied(held.cells, changed(before.cells, after.cells))
    old, new = held.meta, after.meta
    meta = Meta(
        old.watermark if new.watermark == NOT_YET else new.watermark,
        *(now or was for was, now in zip(old[1:4], new[1:4], strict=True)),  # a count that is zero is not named
        new.catalogue if new.catalogue != before.meta.catalogue else old.catalogue,
    )
    return Mirror(cells, meta, tuple(sorted((*kept, *marked))))
