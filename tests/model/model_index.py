"""Steps of the index workers: the hub (load, read the feed) and the runner (reconcile, publish)."""

from collections.abc import Iterator

from model_log import applied, evaluate
from model_rules import Rule
from model_state import Index, Revision, State

Step = tuple[tuple, State]

GAP = (-1,)  # the hub has found a gap, and has not yet loaded
ANEW = (-2,)  # it has met a newer catalogue, and loads everything anew under it


def steps(state: State, rules: frozenset) -> Iterator[Step]:
    """What index workers may do next."""
    for w, worker in enumerate(state.index):
        assigned = state.control == w
        if worker.told != assigned:
            yield ("tell index", w, assigned), state.index_with(w, worker._replace(told=assigned, phase="idle").quiet())
        if worker.told or worker.phase != "idle":  # the hub of one that stands by: as if it did nothing yet
            yield from _hub(state, w, rules)
        yield from _runner(state, w, rules)
    if state.topics.hidden:
        yield ("other ends",), state._replace(topics=state.topics._replace(hidden=()))


# --- the hub -------------------------------------------------------------------------------------------------------


def _hub(state: State, w: int, rules: frozenset) -> Iterator[Step]:
    worker, redis = state.index[w], state.redis
    after = [entry for entry in redis.feed if entry.end > worker.offset]
    if worker.loading not in ((), GAP, ANEW):
        yield _load_goes_on(state, w, rules)
    elif worker.offset < 0 or worker.loading:
        yield _load(state, w, rules)
    elif after and after[0].start > worker.offset:
        yield ("feed gap", w, worker.offset, after[0].start), state.index_with(w, worker._replace(loading=GAP))
    elif after and after[0].meta.catalogue > worker.meta.catalogue:
        yield ("newer catalogue", w, after[0].start, after[0].end), state.index_with(w, worker._replace(loading=ANEW))
    elif after:
        entry = after[0]
        read = worker._replace(offset=entry.end, cells=applied(worker.cells, entry.rows), meta=entry.meta)
        yield ("read", w, entry.start, entry.end), state.index_with(w, read)
    elif redis.offset > worker.offset and Rule.NEWEST_STAYS in rules:
        yield ("silent gap", w, worker.offset, redis.offset), state.index_with(w, worker._replace(loading=GAP))


def _load(state: State, w: int, rules: frozenset) -> Step:
    worker, redis = state.index[w], state.redis
    if Rule.LOAD_IS_ONE not in rules:
        return ("read offset", w, redis.offset), state.index_with(w, worker._replace(loading=(redis.offset,)))
    if redis.offset < worker.offset and Rule.NEVER_BELOW in rules:
        again = ANEW if worker.loading == ANEW else ()
        return ("load not adopted", w, redis.offset), state.index_with(w, worker._replace(loading=again))
    newer = worker.offset >= 0 and redis.mirror.meta.catalogue > worker.meta.catalogue
    if newer and worker.loading == GAP:
        return ("load, newer catalogue", w, redis.offset), state.index_with(w, worker._replace(loading=ANEW))
    return ("load", w, redis.offset), state.index_with(w, _adopted(worker, redis.offset, redis.mirror))


def _load_goes_on(state: State, w: int, rules: frozenset) -> Step:
    worker, redis = state.index[w], state.redis
    if len(worker.loading) == 1:
        loading = (*worker.loading, redis.mirror)
        return ("read cells", w, redis.offset), state.index_with(w, worker._replace(loading=loading))
    offset, mirror = worker.loading
    if redis.offset == offset and (offset >= worker.offset or Rule.NEVER_BELOW not in rules):
        return ("read offset again, equal", w, offset), state.index_with(w, _adopted(worker, offset, mirror))
    return ("read offset again, another", w, redis.offset), state.index_with(w, worker._replace(loading=()))


def _adopted(worker: Index, offset: int, mirror: tuple) -> Index:
    if worker.loading == ANEW and worker.phase == "running":
        worker = worker._replace(phase="idle").quiet()  # its board is void; one that is not yet made is made of these
    return worker._replace(offset=offset, cells=mirror.cells, meta=mirror.meta, loading=())


# --- the runner ----------------------------------------------------------------------------------------------------


def _runner(state: State, w: int, rules: frozenset) -> Iterator[Step]:
    worker = state.index[w]
    if worker.offset < 0:
        return  # the hub starts first
    first, second = (_initialise, _read_back) if Rule.INITIALISE_FIRST in rules else (_read_back, _initialise)
    if worker.phase == "idle" and worker.told:
        yield from first(state, w, rules, "half")
    elif worker.phase == "half":
        yield from second(state, w, rules, "reconciled")
    elif worker.phase in ("reconciled", "running"):
        if worker.phase == "running" and worker.definition != state.definition and worker.told:
            yield ("switch", w), state.index_with(w, worker._replace(phase="idle").quiet())
        yield from _commits(state, w, rules)


def _initialise(state: State, w: int, _rules: frozenset, phase: str) -> Iterator[Step]:
    worker = state.index[w]._replace(phase=phase)
    yield ("initialise", w), state.index_with(w, worker, topics=state.topics._replace(producer=w))


def _read_back(state: State, w: int, rules: frozenset, phase: str) -> Iterator[Step]:
    topics, last = state.topics, state.topics.revision
    if topics.hidden:
        if Rule.HIGH_WATERMARK in rules:
            return  # it waits until the other transaction has ended
        last = topics.hidden[0]
    if Rule.FROM_UPDATES not in rules:
        last = last._replace(values=topics.table)
    worker = state.index[w]._replace(phase=phase, last=last, definition=state.definition)
    yield ("read back", w, last.number), state.index_with(w, worker)


def _commits(state: State, w: int, rules: frozenset) -> Iterator[Step]:
    """RevisionWriter.records and Publisher.publish: all that differs, in one transaction, or nothing."""
    worker, topics = state.index[w], state.topics
    last = worker.last
    if worker.phase == "reconciled" and worker.offset < last.offset and Rule.NEVER_BELOW in rules:
        return  # Hub.reaches: it waits
    values = evaluate(worker.cells, worker.definition)
    meta = worker.meta if Rule.META_TRAVELS in rules else state.redis.mirror.meta
    ours = Revision(last.number + 1, worker.offset, worker.definition, values, meta)
    differs = ours[1:4] != last[1:4] or not last.number
    if not differs and topics.table == values:
        if worker.phase == "reconciled":
            yield ("nothing differs", w), state.index_with(w, worker._replace(phase="running"))
        return
    label = "commit", w, ours.number, ours.offset
    if topics.producer != w:
        told = worker.told and Rule.FENCED_RECONCILES in rules
        stopped = worker._replace(phase="idle" if told or not worker.told else "stopped").quiet()
        yield ("commit fenced", *label[1:]), state.index_with(w, stopped)
        return
    wrong = _wrong(topics.revision, last, ours)
    # Keys that differ from what we believe published; without tombstones others would stay.
    published = dict(topics.revision.values)
    believed, now = dict(last.values), dict(values)
    gone = believed.keys() - now.keys() if Rule.TOMBSTONES in rules else ()
    published = {key: value for key, value in {**published, **now}.items() if key not in gone}
    stands = ours._replace(values=tuple(sorted(published.items(), key=_place)))
    mine = worker._replace(last=ours, phase="running")
    # A reconcile writes the tables that differ; after that they come at most once a second.
    lags = differs and worker.phase == "running"
    for table in {topics.table if lags else values: 0, values: 0}:
        after = state._replace(topics=topics._replace(revision=stands, table=table), wrong=wrong)
        how = "with table" if table == values else "table lags"
        yield (*label, how), after.index_with(w, mine)
        if state.left.lost_reply:
            lost = after.spend("lost_reply").index_with(w, worker._replace(phase="idle").quiet())
            yield ("commit, reply lost", *label[1:], how), lost


def _place(pair: tuple) -> int:
    return ("flow", "day", "stock").index(pair[0])


def _wrong(true: Revision, believed: Revision, ours: Revision) -> str:
    """What a consumer of the committed topics would see that it must never see."""
    if ours.number != true.number + 1:
        return f"revision {ours.number} after revision {true.number}"
    if ours.offset < true.offset:
        return f"revision {ours.number} goes back from offset {true.offset} to {ours.offset}"
    if believed.values != true.values:
        return f"delta from {believed.values}, but {true.values} is published"
    return ""
