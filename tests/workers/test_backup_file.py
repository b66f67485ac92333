"""The file of a backup: what is written comes back, and no changed byte is taken."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import msgspec
import pytest

from state.content import Content
from state.keys import SCHEMA, Offset
from stream.identity import Identity
from workers.backup import _belongs, _parts
from workers.backup_file import HEAD_BYTES, About, Part, check, read_about, read_parts, write
from workers.repair_error import RepairError

ABOUT = About(schema=1, made_at="2023-01-01T00:00:00Z", topic="t", topic_id="id", cluster_id="c", partitions=[0, 1, 2])
ROWS = {f"cells:2022-0{m}:{city}": {"a/all": "1", "城/b": "40 9 1 x y"} for m in (1, 2) for city in ("a", "b:2")}
PARTS = [
    Part(0, Content(Offset(9), 5, 1, '{"a":"城"}'.encode(), {"pay": "9:1ff"}, {"accepted": 3}, ROWS), []),
    Part(1, Content(), ["one", "two"]),
    Part(2, Content(Offset(3), None, 2, b"{}", {}, {}, {}), []),
]


async def parts() -> AsyncIterator[Part]:
    for part in PARTS:
        yield part


async def made(folder: Path) -> Path:
    path = folder / "a.backup"
    assert await write(path, ABOUT, parts()) == path.stat().st_size
    return path


async def test_what_is_written_comes_back(tmp_path: Path):
    path = await made(tmp_path)
    check(path)
    assert read_about(path) == ABOUT
    assert list(read_parts(path)) == PARTS
    assert [each.name for each in tmp_path.iterdir()] == ["a.backup"]


async def test_a_file_of_an_older_schema_is_read_through_the_steps(tmp_path: Path):
    """ABOUT is of version 1: what it says is said as now. One of a later version is refused before anything is read."""
    path = await made(tmp_path)
    log = Identity("c", "id", ABOUT.partitions)
    _belongs(path, ABOUT, log)
    assert list(_parts(path, ABOUT)) == PARTS
    later = msgspec.structs.replace(ABOUT, schema=SCHEMA + 1)
    with pytest.raises(RepairError, match=f"schema version {SCHEMA + 1}, this version knows {SCHEMA}"):
        _belongs(path, later, log)


async def test_it_can_be_read_by_eye(tmp_path: Path):
    path = await made(tmp_path)
    head, _, rest = path.read_bytes().partition(b"\n")
    assert len(head) + 1 == HEAD_BYTES
    assert json.loads(head)["tidewatch"] == "backup"
    lines = [json.loads(line) for line in gzip.decompress(rest).splitlines()]
    assert lines[0]["topic"] == "t"
    assert lines[1]["offset"] == 9
    assert lines[2] == ["cells:2022-01:a", "a/all", "1", "城/b", "40 9 1 x y"]
    assert lines[-1] == {"end": 3}


async def test_the_same_state_gives_the_same_bytes(tmp_path: Path):
    first = (await made(tmp_path)).read_bytes()
    assert (await made(tmp_path)).read_bytes() == first


async def test_every_changed_byte_is_refused(tmp_path: Path, pytestconfig: pytest.Config):
    """Each byte of it flipped in a random bit; cut off anywhere; something behind it."""
    seed = f"{pytestconfig.option.hypothesis_seed}/bytes"
    print(f"seed {seed}")
    random = Random(seed)
    path = await made(tmp_path)
    whole = path.read_bytes()
    cuts = [whole[: random.randrange(len(whole))] for _ in range(50)]
    flips = [whole[:i] + bytes([byte ^ 1 << random.randrange(8)]) + whole[i + 1 :] for i, byte in enumerate(whole)]
    for n, damaged in enumerate((*flips, *cuts, b"", whole + b"x", whole + whole)):
        path.write_bytes(damaged)
        with pytest.raises(RepairError) as refusal:
            check(path)
        assert str(path) in str(refusal.value), n
        assert "nothing written" in str(refusal.value), n


async def test_it_says_how_far_it_can_be_read(tmp_path: Path):
    path = await made(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(RepairError, match=r"it can be read up to line \d+, about byte \d+"):
        check(path)
    path.write_bytes(b"{}" + whole[2:])
    with pytest.raises(RepairError, match="no backup of tidewatch"):
        check(path)
    path.write_bytes(whole.replace(b'"format":1', b'"format":2'))
    with pytest.raises(RepairError, match=r"format 2, this version reads 1: upgrade"):
        check(path)


async def test_what_breaks_off_leaves_the_file_of_before(tmp_path: Path):
    path = await made(tmp_path)
    before = path.read_bytes()

    async def breaks() -> AsyncIterator[Part]:
        yield PARTS[0]
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        await write(path, ABOUT, breaks())
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.backup"]
