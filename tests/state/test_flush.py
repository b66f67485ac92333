"""Acquire, flush, load and watch on a real Redis: the rules of DESIGN section 3 and PROTOCOL.md that it has to keep."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from state.aggregates import Aggregates
from state.errors import CorruptStateError, FencedError, RewoundError, SchemaError
from state.flush import flush
from state.keys import SCHEMA, Offset, Partition, Token
from state.load import load
from state.ownership import acquire, watch
from state.snapshot import Snapshot
from tests.shops import LIMITS, shops
from tests.state.ledger import Ledger, made_events
from tests.state.partition import P, batch, dumped, everything, owner, put_back
from tests.state.test_aggregates import OUTCOMES, valid

ROW = ["cells:2022-06:anna", "till.visits/all", 7]


def hashed(snapshot: Snapshot) -> dict[str, dict[str, str]]:
    """The rows as field -> text."""
    return {row: dict(zip(flat[::2], flat[1::2], strict=True)) for row, flat in snapshot.rows.items()}


# --- what a flush writes, and who gets it back ------------------------------------------------------------------------


async def test_a_new_partition_is_empty(client: Redis):
    assert await load(client, P) == Snapshot(P, Offset(0), None, None, None, {}, {}, {})
    assert await everything(client) == {}, "a load writes nothing"
    assert await acquire(client, P, Token("me")) == Snapshot(P, Offset(0), None, None, None, {}, {}, {})
    assert await everything(client) == {"{tw:7}:meta": {"epoch": "me", "schema": str(SCHEMA)}}


async def test_everything_is_written_as_the_formats_say(client: Redis):
    me = await owner(client)
    await me.flush(
        12,
        [*ROW, "staff/all", "40 1656583200000000 9 城 office"],
        ["days:2022-06:bert:2", "till.visits@2022-06-30", -7],
        watermark_us=1_656_583_200_000_000,
        windows=["pay", "9:1ff", "城", "3:1"],
        counts={"accepted": 3, "rejected:malformed": 1},
        catalogue_version=4,
        catalogue=b'{"name":"shops"}',
    )
    assert await everything(client) == {
        "{tw:7}:meta": {
            **{"epoch": "me", "schema": str(SCHEMA), "offset": "12", "watermark": "1656583200000000", "catalogue": "4"},
            "feed_bytes": (await client.hget("{tw:7}:meta", "feed_bytes")),
        },
        "{tw:7}:catalogue": '{"name":"shops"}',
        "{tw:7}:cells:2022-06:anna": {"till.visits/all": "7", "staff/all": "40 1656583200000000 9 城 office"},
        "{tw:7}:days:2022-06:bert:2": {"till.visits@2022-06-30": "-7"},
        "{tw:7}:seq": {"pay": "9:1ff", "城": "3:1"},
        "{tw:7}:rows": {"cells:2022-06:anna", "days:2022-06:bert:2"},
        "{tw:7}:counts": {"accepted": "3", "rejected:malformed": "1"},
        "{tw:7}:sizes": [f"12-0 {await client.hget('{tw:7}:meta', 'feed_bytes')}"],
        "{tw:7}:changes": [
            (
                "12-0",
                {
                    "from": "0",
                    "epoch": "me",
                    "watermark": "1656583200000000",
                    "catalogue": "4",
                    "schema": str(SCHEMA),
                    "counts": '{"accepted":3,"rejected:malformed":1}',
                    "rows": '[["cells:2022-06:anna","till.visits/all",7,"staff/all","40 1656583200000000 9 城 office"],'
                    '["days:2022-06:bert:2","till.visits@2022-06-30",-7]]',
                },
            )
        ],
    }


@pytest.mark.parametrize("value", [0, -1, 10**15 - 1, -(10**15) + 1, 999_999_999_999_999, 123_456_789_012_345])
async def test_values_are_plain_digits(client: Redis, value: int):
    """Lua's numbers are doubles; none may come out as 1e+15."""
    me = await owner(client)
    await me.flush(1, ["cells:2022-06:anna", "till.visits/all", value], counts={"accepted": abs(value)})
    assert await client.hget("{tw:7}:cells:2022-06:anna", "till.visits/all") == str(value)
    assert await client.hget("{tw:7}:counts", "accepted") == str(abs(value))


async def test_what_was_flushed_is_acquired_and_loaded(client: Redis):
    me = await owner(client)
    await me.flush(5, ROW, watermark_us=1, windows=["pay", "9:1ff"], catalogue_version=4, catalogue=b'{"name":"x"}')
    await me.flush(6, ["cells:2022-06:anna", "till.fine/all", -1], watermark_us=2, windows=["pay", "10:3ff"])
    rows = {"cells:2022-06:anna": {"till.visits/all": "7", "till.fine/all": "-1"}}
    for snapshot in (await load(client, P), await acquire(client, P, Token("you"))):
        assert snapshot.offset == 6
        assert snapshot.watermark_us == 2
        assert (snapshot.catalogue_version, snapshot.catalogue) == (4, b'{"name":"x"}')
        assert snapshot.windows == {"pay": "10:3ff"}
        assert snapshot.counts == {"accepted": 6}
        assert hashed(snapshot) == rows


async def test_batches_of_many_events_are_what_the_oracle_says(client: Redis, pytestconfig: pytest.Config):
    """The owner's mirror, Redis and the oracle agree after each flush; a new owner goes on from Redis."""
    random, ledger = Random(int(pytestconfig.option.hypothesis_seed)), Ledger()
    me = await owner(client)
    mirror = Aggregates(shops(), await me.acquire())
    events = made_events(random, 600, size=LIMITS.cell // 5)
    while events:
        n = random.choice([1, 20, 60])
        part, events = events[:n], events[n:]
        outcome, rows = mirror.combine(valid(shops(), part))
        assert [OUTCOMES[int(v)] for v in outcome.verdict] == [ledger.take(event) for event in part]
        await flush(client, P, me.token, mirror.flush_batch(Offset(mirror.offset + 1), rows))
        snapshot = await load(client, P)
        assert hashed(snapshot) == ledger.rows()
        assert snapshot.windows == ledger.windows()
        assert snapshot.counts == dict(ledger.counts)
        assert (snapshot.watermark_us, snapshot.offset) == (ledger.watermark_us, mirror.offset)
        if random.random() < 0.3:
            me = await owner(client, str(random.random()))
            mirror = Aggregates(shops(), await me.acquire())


async def test_partitions_are_apart(client: Redis):
    one, other = await owner(client, "one", Partition(7)), await owner(client, "other", Partition(70))
    await one.flush(3, ROW)
    await other.flush(4, ["cells:2022-06:anna", "till.visits/all", 8])
    assert (await load(client, Partition(7))).offset == 3
    assert hashed(await load(client, Partition(70))) == {"cells:2022-06:anna": {"till.visits/all": "8"}}


async def test_twenty_thousand_cells_in_one_flush(client: Redis):
    """More than Lua's stack holds: as fields of one row, as rows, and as windows."""
    me = await owner(client)
    wide = ["cells:2022-06:anna", *(x for i in range(20_000) for x in (f"till.{i}/all", i))]
    rows = [[f"cells:2022-06:shop{i}", "till.visits/all", i] for i in range(20_000)]
    windows = [x for i in range(20_000) for x in (f"source-{i}", f"{i}:1")]
    await me.flush(1, wide, *rows, windows=windows, feed_bytes=64 << 20)
    snapshot = await load(client, P)
    assert len(snapshot.rows) == 20_001
    assert hashed(snapshot)["cells:2022-06:anna"] == {f"till.{i}/all": str(i) for i in range(20_000)}
    assert all(snapshot.rows[f"cells:2022-06:shop{i}"] == ["till.visits/all", str(i)] for i in range(20_000))
    assert snapshot.windows == {f"source-{i}": f"{i}:1" for i in range(20_000)}


@pytest.mark.parametrize("fields", [1999, 2000, 2001, 3999, 4000, 4001])
async def test_a_row_of_any_width(client: Redis, fields: int):
    """Around the places where the script cuts its arguments."""
    me = await owner(client)
    await me.flush(1, ["cells:2022-06:anna", *(x for i in range(fields) for x in (f"i{i}/all", i))])
    assert await client.hgetall("{tw:7}:cells:2022-06:anna") == {f"i{i}/all": str(i) for i in range(fields)}


async def test_a_flush_of_no_cells_moves_the_offset(client: Redis):
    """A batch of rejects only, or of a catalogue record."""
    me = await owner(client)
    await me.flush(9, counts={"rejected:malformed": 9})
    snapshot = await load(client, P)
    assert (snapshot.offset, snapshot.counts, snapshot.watermark_us) == (9, {"rejected:malformed": 9}, None)


async def test_scripts_that_the_server_has_forgotten_are_sent_again(client: Redis):
    me = await owner(client)
    await client.script_flush()
    await me.flush(1, ROW)
    await client.script_flush()
    assert (await load(client, P)).offset == 1
    await client.script_flush()
    assert (await acquire(client, P, Token("you"))).offset == 1


# --- who may not write: nothing is written ----------------------------------------------------------------------------


async def refused(client: Redis, error: type[Exception], start: int, end: int, token: str = "me") -> Exception:
    """A flush that must be refused; Redis holds after it exactly what it held before."""
    before = await everything(client)
    with pytest.raises(error) as caught:
        await flush(client, P, Token(token), batch(start, end, [["cells:2022-06:anna", "till.visits/all", 999]]))
    assert await everything(client) == before
    return caught.value


async def test_a_zombie_is_fenced(client: Redis):
    """PROTOCOL: the token is replaced by whoever acquires; from then on the one before cannot write."""
    zombie = await owner(client, "zombie")
    await zombie.flush(5, ROW)
    await owner(client, "me")
    error = await refused(client, FencedError, 5, 6, "zombie")
    assert "me" in str(error)
    await refused(client, FencedError, 0, 5, "zombie")


async def test_nobody_owns_an_empty_redis(client: Redis):
    await refused(client, FencedError, 0, 1)


async def test_an_own_later_acquire_fences_the_earlier_flush(client: Redis):
    await owner(client, "first")
    await owner(client, "second")
    await refused(client, FencedError, 0, 1, "first")


async def test_a_redis_that_went_back_refuses(client: Redis):
    """The token is the one restored, and right; only the offset tells."""
    me = await owner(client)
    await me.flush(5, ROW)
    earlier = await dumped(client)
    await me.flush(9, ROW)
    await put_back(client, earlier)
    error = await refused(client, RewoundError, 9, 12)
    assert isinstance(error, RewoundError)
    assert (error.expected, error.stored) == (9, 5)


async def test_an_offset_ahead_is_refused_too(client: Redis):
    me = await owner(client)
    await me.flush(5, ROW)
    await refused(client, RewoundError, 3, 6)
    await refused(client, RewoundError, 4, 8)


async def test_a_reply_that_was_lost(client: Redis):
    """The same flush again, as it is after a broken connection: done already, and not done twice."""
    me = await owner(client)
    once = batch(0, 5, [ROW], counts={"accepted": 5}, windows=["pay", "5:1f"])
    await flush(client, P, me.token, once)
    before = await everything(client)
    await flush(client, P, me.token, once)
    assert await everything(client) == before
    assert await client.xlen("{tw:7}:changes") == 1


async def test_a_reply_that_was_lost_and_then_another_owner(client: Redis):
    """It was applied, and we are not told so: being fenced is all that matters, the new owner has it."""
    me = await owner(client)
    await me.flush(5, ROW)
    other = await owner(client, "other")
    assert other.offset == 5
    await refused(client, FencedError, 0, 5)


async def test_a_reply_that_was_lost_and_then_redis_went_back(client: Redis):
    """The repeat is then the first: it is applied to what was there before."""
    me = await owner(client)
    earlier = await dumped(client)
    once = batch(0, 5, [ROW], counts={"accepted": 5})
    await flush(client, P, me.token, once)
    after = await everything(client)
    await put_back(client, earlier)
    await flush(client, P, me.token, once)
    assert await everything(client) == after


async def test_all_checks_come_before_the_first_write_and_the_feed_first(client: Redis):
    """PROTOCOL: Redis refuses an id that is not above the last; what a script wrote before that would stay."""
    me = await owner(client)
    await client.xadd("{tw:7}:changes", {"from": "0"}, id="100-0")
    await refused(client, ResponseError, 0, 100)
    await me.flush(101, ROW)
    assert [entry_id for entry_id, _ in await client.xrange("{tw:7}:changes")] == ["100-0", "101-0"]


async def test_the_trace_of_the_token_that_came_back(client: Redis):
    """PROTOCOL, first row: A acquires; B acquires and flushes; Redis goes back to A's acquire; A flushes the same.

    Since A's windows and offset come from the same step as its token, the flush is right, and nothing is lost.
    """
    a = await owner(client, "A")
    mirror = Aggregates(shops(), await a.acquire())
    when_a = await dumped(client)
    b = await owner(client, "B")
    events = made_events(Random(1), 30, size=10)
    theirs = Aggregates(shops(), await b.acquire())
    _, rows = theirs.combine(valid(shops(), events))
    await flush(client, P, b.token, theirs.flush_batch(Offset(1), rows))
    wanted = await load(client, P)
    await put_back(client, when_a)
    outcome, rows = mirror.combine(valid(shops(), events))
    assert outcome.accepted > 0
    await flush(client, P, a.token, mirror.flush_batch(Offset(1), rows))
    found = await load(client, P)
    assert hashed(found) == hashed(wanted)
    assert (found.windows, found.counts, found.offset) == (wanted.windows, wanted.counts, wanted.offset)


# --- one atomic step --------------------------------------------------------------------------------------------------


async def test_no_snapshot_is_torn(client: Redis):
    """PROTOCOL: acquire and load are one step: among flushes they find cells, windows and counts of one offset."""
    me, done = await owner(client), asyncio.Event()

    async def write() -> None:
        for end in range(1, 151):
            rows = [[f"cells:2022-06:shop{i}", "till.visits/all", end] for i in range(20)]
            while me.offset < end:
                try:
                    await me.flush(end, *rows, windows=["pay", f"{end}:1"], watermark_us=end)
                except FencedError:
                    assert (await me.acquire()).offset == end - 1
        done.set()

    async def read(number: int) -> int:
        seen = 0
        while not done.is_set():
            token = Token(f"{number}-{seen}")
            taken = number == 0 and seen % 10 == 0
            snapshot = await (acquire(client, P, token) if taken else load(client, P))
            values = {text for flat in snapshot.rows.values() for text in flat[1::2]}
            n = snapshot.offset
            assert values == ({str(n)} if n else set())
            assert len(snapshot.rows) == (20 if n else 0)
            assert snapshot.windows == ({"pay": f"{n}:1"} if n else {})
            assert snapshot.counts == ({"accepted": n} if n else {})
            assert snapshot.watermark_us == (n or None)
            seen += 1
        return seen

    _, *seen = await asyncio.gather(write(), *(read(i) for i in range(3)))
    assert min(seen) > 10


async def test_of_those_who_acquire_at_once_one_writes(client: Redis):
    owners = await asyncio.gather(*(owner(client, f"worker-{i}") for i in range(20)))
    results = await asyncio.gather(*(each.flush(1, ROW) for each in owners), return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, FencedError) for result in results) == 19


# --- watch ------------------------------------------------------------------------------------------------------------


async def test_watch_says_nothing_while_all_is_well(client: Redis):
    me = await owner(client)
    await watch(client, P, me.token, Offset(0))
    await me.flush(5, ROW)
    await watch(client, P, me.token, Offset(5))


async def test_watch_notices_another_owner(client: Redis):
    me = await owner(client)
    await owner(client, "other")
    with pytest.raises(FencedError, match="other"):
        await watch(client, P, me.token, Offset(0))


async def test_watch_notices_a_redis_that_went_back(client: Redis):
    """Also where nothing is flushed any more: else its cells would stay behind for ever."""
    me = await owner(client)
    earlier = await dumped(client)
    await me.flush(5, ROW)
    await put_back(client, earlier)
    with pytest.raises(RewoundError, match="offset 0, not at 5"):
        await watch(client, P, me.token, Offset(5))
    await client.flushdb()
    with pytest.raises(FencedError, match="none"):
        await watch(client, P, me.token, Offset(5))


# --- what this code cannot read ---------------------------------------------------------------------------------------


async def test_a_newer_schema_is_refused_by_all_and_taken_over_by_none(client: Redis):
    me = await owner(client)
    await me.flush(5, ROW)
    await client.hset("{tw:7}:meta", "schema", str(SCHEMA + 1))
    before = await everything(client)
    with pytest.raises(SchemaError, match=f"schema version {SCHEMA + 1}, this worker knows {SCHEMA}; upgrade"):
        await acquire(client, P, Token("other"))
    with pytest.raises(SchemaError):
        await load(client, P)
    for token, start in (("me", 5), ("me", 4), ("other", 5)):
        with pytest.raises(SchemaError):
            await flush(client, P, Token(token), batch(start, 6, [ROW]))
    assert await everything(client) == before


@pytest.mark.parametrize(
    ("key", "field"), [("meta", "offset"), ("meta", "watermark"), ("meta", "catalogue"), ("counts", "x")]
)
async def test_what_is_no_number_is_named(client: Redis, key: str, field: str):
    me = await owner(client)
    await me.flush(5, ROW)
    await client.hset(f"{{tw:7}}:{key}", field, "many")
    with pytest.raises(CorruptStateError, match=r"tw:7.*many"):
        await load(client, P)
