"""Every message that we write, as it stands on its topic (docs/formats.md section 6). JSON; `schema` in each.

Fields are in the order of the documentation. A reader refuses a newer schema by name and ignores keys that it does
not know; so a key may be added within a version, and whatever old readers would misread raises it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from stream.errors import MessageError, NewerMessageError

SCHEMA = 1


class _Message(msgspec.Struct, kw_only=True, gc=False):
    schema: int = SCHEMA


class IndexUpdate(_Message):
    """`index-updates`: one entity's values in one period. Growths, shares and coverage are fractions."""

    system: str
    entity: str
    kind: str
    period: str
    revision: int
    definition: int
    status: str
    value: float | None
    coverage: float
    nodes: dict[str, float | None]
    growth: dict[str, float | None]
    days: int | None
    why: dict[str, str]


class Moved(msgspec.Struct, gc=False):
    """Columns of the rows whose value moved: rank None = not in the table (before, after)."""

    entity: list[str]
    was: list[int | None]
    rank: list[int | None]
    value: list[float | None]


class RankingDelta(_Message):
    """`ranking-deltas`: how one table changed in one revision; `shifted` are ranges of old ranks and what to add."""

    system: str
    ranking: str
    period: str
    scope: str | None
    revision: int
    size: int
    moved: Moved
    shifted: list[tuple[int, int, int]]


class Rows(msgspec.Struct, gc=False):
    """Columns of a table, by rank, then code. `change_year` is empty in tables written before there was one."""

    entity: list[str]
    rank: list[int]
    value: list[float]
    change: list[int | None]
    change_year: list[int | None] = []


class LeftOut(msgspec.Struct, gc=False):
    """Columns of the entities that a table leaves out, with the reason of each."""

    entity: list[str]
    reason: list[str]


class RankingTable(_Message):
    """`rankings`: one whole table."""

    system: str
    ranking: str
    period: str
    scope: str | None
    revision: int
    measure: str
    node: str
    rows: Rows
    left_out: LeftOut


class Counts(msgspec.Struct, gc=False):
    """Events by outcome, since the beginning of the log."""

    accepted: int = 0
    duplicate: int = 0
    rejected: dict[str, int] = {}


class Revision(_Message):
    """`revisions`: what one published transaction includes. `offsets` are the next ones, by partition."""

    system: str
    revision: int
    definition: int
    catalogue: int
    reason: str
    offsets: dict[str, int]
    watermark: int | None
    counts: Counts
    updates: int
    deltas: int
    tables: int


class Intervals(msgspec.Struct, gc=False):
    """Columns of a table, by rank, then entity code: the rank, and the least and the greatest within the level."""

    entity: list[str]
    rank: list[int]
    rank_low: list[int]
    rank_high: list[int]


class RobustTable(_Message):
    """`robustness`: how far the ranks of one table hang on the experts; `revision` is the one whose values it took."""

    system: str
    ranking: str
    period: str
    scope: str | None
    revision: int
    definition: int
    draws: int
    seed: int
    level: float
    rows: Intervals


class EditionTable(msgspec.Struct, kw_only=True, gc=False):
    """One table of an edition: as on `rankings`, `revision` that of its last publication."""

    ranking: str
    period: str
    scope: str | None
    revision: int
    measure: str
    node: str
    rows: Rows
    left_out: LeftOut


class EditionValues(msgspec.Struct, gc=False):
    """Columns of what was published of each entity, by its code: status, value of the root, coverage."""

    entity: list[str]
    status: list[str]
    value: list[float | None]
    coverage: list[float]


class Edition(_Message):
    """`editions`: the tables and values of one period as they stood at `revision`, under a name, for ever."""

    system: str
    name: str
    period: str
    revision: int
    definition: int
    catalogue: int
    offsets: dict[str, int]
    watermark: int | None
    author: str
    reason: str
    at: str
    corrects: str | None
    tables: list[EditionTable]
    values: EditionValues


class AlertMessage(_Message):
    """`alerts`, key `rule/entity[@node]/system`: one alert as it stands. `state`: firing, held or resolved.

    `since` (event time since when the condition holds) and `at` (watermark of the transition) in us; `value` and
    `bound` as the rule counts; `held_by`: what explains it, of held ones, and of resolved ones that never fired;
    `cause`: parts of the move, None until known.
    """

    system: str
    rule: str
    type: str
    severity: str
    title: str
    entity: str
    node: str | None
    period: str | None
    state: str
    value: float
    bound: float
    since: int
    at: int
    revision: int
    held_by: str
    cause: dict[str, Any] | None
    links: dict[str, str]


class AlertSilence(_Message):
    """`alerts`, key `silence/rule/entity[@node]`: nobody is notified until `until` (RFC 3339); `*` stands for any."""

    rule: str
    subject: str
    until: str
    author: str
    reason: str
    at: str


class AlertPosition(_Message):
    """`alerts`, key `state/position`: next offsets of the outputs that are evaluated, by topic."""

    offsets: dict[str, int]


class ControlVersion(_Message):
    """`control`, key `system/version`: one definition."""

    system: str
    version: int
    definition: str
    author: str
    reason: str
    at: str


class ControlActive(_Message):
    """`control`, key `system/active`: the version in force."""

    system: str
    version: int
    author: str
    reason: str
    at: str


M = TypeVar("M", bound=_Message)

encode = msgspec.json.Encoder().encode
# Made here, once, by one thread: msgspec 0.22 lets a second thread see a type's decoder half built, and crashes.
_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (
        AlertMessage,
        AlertSilence,
        AlertPosition,
        IndexUpdate,
        RankingDelta,
        RankingTable,
        Revision,
        ControlVersion,
        ControlActive,
        RobustTable,
        Edition,
    )
}


class _Versioned(msgspec.Struct, gc=False):
    schema: int = 1


_versioned = msgspec.json.Decoder(_Versioned)
# How messages of older versions are read: (kind, version) -> what makes of their bytes a message of ours. A version
# that is not here is refused by name. Empty as long as there is only the first.
OLDER: dict[tuple[type[Any], int], Callable[[bytes], Any]] = {}


def decode_message(kind: type[M], value: bytes, where: str) -> M:
    """One message of `kind`; `where` names topic and key for the error. No `schema` stands for 1; keys that are not
    known are ignored. Errors: NewerMessageError (a version that is not read: stop), MessageError (not a `kind`).
    """
    try:
        message: M = _decoders[kind].decode(value)
        version: int | None = message.schema
        problem = ""
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # A newer one need not have the form that we know: its version is looked for by itself.
        version, problem = version_named(value), str(error)
    if version == SCHEMA and not problem:
        return message
    if version is None or version == SCHEMA:
        raise MessageError(f"{where}: not a {kind.__name__} ({problem})")
    reader = OLDER.get((kind, version))
    if reader is None:
        raise NewerMessageError(where, version, SCHEMA)
    try:
        older: M = reader(value)
    except (msgspec.MsgspecError, ValueError) as error:
        raise MessageError(f"{where}: not a {kind.__name__} of schema {version} ({error})") from None
    return older


def read_message(kind: type[M], value: bytes, where: str, note: Callable[[str], object]) -> M | None:
    """The same; None for what is no `kind`, and `note` hears why: a foreign record stops nobody.

    Errors: NewerMessageError.
    """
    try:
        return decode_message(kind, value, where)
    except NewerMessageError:
        raise
    except MessageError as error:
        note(str(error))
        return None


def version_named(value: bytes) -> int | None:
    """The version that a message names; None where it is no JSON object, or names none that is one."""
    try:
        version = _versioned.decode(value).schema
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return version if version >= 1 else None
