"""The last revisions of a system: the ring on `revisions`, some thousand of the newest."""

from __future__ import annotations

from collections.abc import Mapping

from stream.messages import Revision, read_message
from stream.tail import high_watermarks, read_to
from stream.topics import REVISIONS, partition_of


def read_revisions(address: str, system: str, options: Mapping[str, object] | None = None) -> list[Revision]:
    """The committed revisions of `system` that the topic still holds, ascending. Compaction may leave older ones than
    the ring, with gaps between. Blocking. Errors: UnreachableError, MessageError."""
    where = (REVISIONS, partition_of(system))
    prefix = f"{system}/".encode()
    found: dict[int, Revision] = {}
    for message in read_to(address, high_watermarks(address, [where], options), options):
        key, value = message.key(), message.value()
        if isinstance(key, bytes) and key.startswith(prefix) and isinstance(value, bytes):
            name = f"{REVISIONS} {key.decode(errors='replace')}"
            revision = read_message(Revision, value, name, lambda _: None)  # a foreign record is none
            if revision is not None:
                found[revision.revision] = revision
    return [found[number] for number in sorted(found)]


def first_of_each_run(revisions: list[Revision]) -> dict[int, int | None]:
    """Definition version -> the revision that went over to it last; None where it went over before `revisions` begin.

    `revisions` ascending, without a gap at a change of version (a missing neighbour makes that answer None).
    """
    since: dict[int, int | None] = {}
    for before, revision in zip([None, *revisions], revisions, strict=False):
        if before is None:
            since[revision.definition] = 1 if revision.revision == 1 else None
        elif before.definition != revision.definition:
            since[revision.definition] = revision.revision if before.revision == revision.revision - 1 else None
    return since
