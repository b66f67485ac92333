"""Steps from outside, each at most as often as `Left` says: what may go wrong, and what people do.

"Redis persists" is how any durable prefix comes about: the one that Redis will go back to is remembered when it is
there, or it is the empty one. That choice is free, so every prefix is tried. After it, what is durable is that again or
what comes later, or nothing.
"""

from collections.abc import Iterator

from model_state import Index, Ingest, Redis, State

Step = tuple[tuple, State]


def steps(state: State, versions: int) -> Iterator[Step]:
    """What may happen next; `versions`: of the catalogue that people may publish."""
    left = state.left
    if left.move:
        yield ("move p", 1 - state.assignee), state.spend("move")._replace(assignee=1 - state.assignee)
    if left.move_control:
        yield ("move system", 1 - state.control), state.spend("move_control")._replace(control=1 - state.control)
    if left.rewind:
        if state.durable == Redis() != state.redis:
            yield ("redis persists", state.redis.offset), state._replace(durable=state.redis)
        if state.durable != state.redis:
            gone = state.spend("rewind")._replace(redis=state.durable, durable=Redis())
            yield ("redis goes back", state.durable.offset), gone
    if left.crash:
        for w, worker in enumerate(state.ingest):
            if worker != Ingest():
                yield ("crash ingest", w), state.spend("crash").ingest_with(w, Ingest())
    if left.crash_index:
        for w, worker in enumerate(state.index):
            if worker != Index():
                yield ("crash index", w), state.spend("crash_index").index_with(w, Index())
    if left.open and not state.topics.hidden:
        opened = state.topics._replace(hidden=(state.topics.revision,))
        yield ("other opens",), state.spend("open")._replace(topics=opened)
    if left.define:
        yield ("define", 2), state.spend("define")._replace(definition=2)
    if left.publish and state.version < versions:
        yield ("publish catalogue", 2), state.spend("publish")._replace(version=2)
