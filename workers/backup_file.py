"""The file of `tidewatch backup` (docs/formats.md section 9): written whole or not at all, read whole or refused.

The first line is plain JSON of a fixed length with the checksum of everything behind it; that is gzip of JSON lines, to
be read by eye as well: `tail -n +2 FILE | gunzip`.
"""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from state.content import Content
from state.keys import Offset
from workers.repair_error import RepairError

FORMAT = 1
HEAD_BYTES = 160
READ_BYTES = 1 << 20
_encode = msgspec.json.Encoder().encode


class About(msgspec.Struct, kw_only=True):
    """The first line of the content. `schema` is of the state in Redis; the ids are Kafka's, '' where it says none."""

    schema: int
    made_at: str
    topic: str
    topic_id: str
    cluster_id: str
    partitions: list[int]


class Part(NamedTuple):
    """One partition, whole."""

    partition: int
    content: Content
    skipped: list[str]


class _Partition(msgspec.Struct, kw_only=True):
    partition: int
    offset: int
    watermark_us: int | None
    catalogue_version: int | None
    catalogue: str | None
    windows: dict[str, str]
    counts: dict[str, int]
    skipped: list[str]
    rows: int


class _End(msgspec.Struct, kw_only=True):
    end: int  # how many partitions there were


_about = msgspec.json.Decoder(About)
_partition = msgspec.json.Decoder(_Partition)
_row = msgspec.json.Decoder(list[str])
_end = msgspec.json.Decoder(_End)


def _head(size: int, digest: str) -> bytes:
    line = _encode({"tidewatch": "backup", "format": FORMAT, "sha256": digest, "bytes": size})
    return line.ljust(HEAD_BYTES - 1) + b"\n"


class _Summed:
    """A file that is written to, with the checksum and the number of what was."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._sum, self.size = file, sha256(), 0

    def write(self, data: bytes) -> int:
        self._sum.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def head(self) -> bytes:
        return _head(self.size, self._sum.hexdigest())


async def write(path: Path, about: About, parts: AsyncIterator[Part]) -> int:
    """Write the file, in place of one of that name: whole, on the disk, or not at all. Returns its bytes.

    `parts` is asked for one partition at a time. Errors: OSError, and those of `parts`.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_head(0, sha256().hexdigest()))
            summed = _Summed(file)
            with gzip.GzipFile("", "wb", 6, summed, mtime=0) as packed:  # type: ignore[arg-type]
                async for line in _lines(about, parts):
                    packed.write(line + b"\n")
            file.seek(0)
            file.write(summed.head())
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return HEAD_BYTES + summed.size


async def _lines(about: About, parts: AsyncIterator[Part]) -> AsyncIterator[bytes]:
    yield _encode(about)
    n = 0
    async for partition, content, skipped in parts:
        n += 1
        yield _encode(
            _Partition(
                partition=partition,
                offset=content.offset,
                watermark_us=content.watermark_us,
                catalogue_version=content.catalogue_version,
                catalogue=None if content.catalogue is None else content.catalogue.decode(),
                windows=content.windows,
                counts=content.counts,
                skipped=skipped,
                rows=len(content.rows),
            )
        )
        for row in sorted(content.rows):
            yield _encode([row, *(text for pair in content.rows[row].items() for text in pair)])
    yield _encode(_End(end=n))


def check(path: Path) -> None:
    """Refuse a file of which any byte is not as it was written. Errors: RepairError, which says where; OSError."""
    digest, size = sha256(), 0
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        while block := file.read(READ_BYTES):
            digest.update(block)
            size += len(block)
    if head == _head(size, digest.hexdigest()):
        return
    try:
        found = msgspec.json.decode(head)
        known = isinstance(found, dict) and found.get("tidewatch") == "backup"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        known, found = False, None
    if not known:
        raise RepairError(f"{path}: no backup of tidewatch, or its first line is damaged; nothing written")
    if isinstance(found.get("format"), int) and found["format"] > FORMAT:
        raise RepairError(f"{path}: format {found['format']}, this version reads {FORMAT}: upgrade it; nothing written")
    raise RepairError(
        f"{path}: damaged: {size} bytes with checksum {digest.hexdigest()[:12]}... behind the first line, which names "
        f"{found.get('bytes')} and {str(found.get('sha256'))[:12]}...; {_readable(path)}; nothing written. "
        "Use another copy"
    )


def _readable(path: Path) -> str:
    """How far the content can be read: for people."""
    n = 1
    with path.open("rb") as file:
        file.seek(HEAD_BYTES)
        try:
            with gzip.GzipFile(fileobj=file) as packed:
                for line in packed:
                    msgspec.json.decode(line)
                    n += 1
        except (OSError, EOFError, zlib.error, msgspec.MsgspecError, UnicodeDecodeError) as error:
            return f"it can be read up to line {n}, about byte {file.tell()} of the file ({error})"
    return "every line can be read, so a value in it has changed, or its first line"


def read_about(path: Path) -> About:
    """What a checked file says of itself. Errors: RepairError, OSError."""
    with path.open("rb") as file:
        file.seek(HEAD_BYTES)
        with gzip.GzipFile(fileobj=file) as packed:
            return _decoded(path, 2, _about, packed.readline())


def read_parts(path: Path) -> Iterator[Part]:
    """The partitions of a checked file, one at a time. Errors: RepairError, OSError."""
    with path.open("rb") as file:
        file.seek(HEAD_BYTES)
        with gzip.GzipFile(fileobj=file) as packed:
            number = 2
            about = _decoded(path, number, _about, packed.readline())
            for partition in about.partitions:
                number += 1
                found = _decoded(path, number, _partition, packed.readline())
                if found.partition != partition:
                    raise RepairError(f"{path} line {number}: partition {found.partition}, where {partition} should be")
                rows: dict[str, dict[str, str]] = {}
                for _ in range(found.rows):
                    number += 1
                    flat = _decoded(path, number, _row, packed.readline())
                    rows[flat[0]] = dict(zip(flat[1::2], flat[2::2], strict=True))
                content = Content(
                    Offset(found.offset),
                    found.watermark_us,
                    found.catalogue_version,
                    None if found.catalogue is None else found.catalogue.encode(),
                    found.windows,
                    found.counts,
                    rows,
                )
                yield Part(partition, content, found.skipped)
            _decoded(path, number + 1, _end, packed.readline())


def _decoded(path: Path, number: int, decoder: msgspec.json.Decoder[Any], line: bytes) -> Any:
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RepairError(f"{path} line {number}: {error}; nothing written") from None
