"""A catalogue as a folder of one TOML and some CSV files, as people keep it (docs/formats.md section 1)."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from index.catalogue import Catalogue, Entity, Indicator, Industry, Limits, Merger, Permission
from index.errors import CatalogueError

_HEAD = {"name": str, "version": int, "timezone": str, "base_kind": str, "years": list}


def read_folder(folder: Path) -> Catalogue:
    """The catalogue in `folder`, checked; CatalogueError names the file, the line or key, and the reason."""
    head = _read_toml(folder / "catalogue.toml")
    members: dict[str, list[str]] = {}
    for _, row in _read_csv(folder / "members.csv", ("group", "member")):
        members.setdefault(row["group"], []).append(row["member"])
    sources, mergers = folder / "sources.csv", folder / "mergers.csv"
    catalogue = Catalogue(
        name=head["name"],
        version=head["version"],
        timezone=head["timezone"],
        base_kind=head["base_kind"],
        years=head["years"],
        limits=head["limits"],
        entities=tuple(
            Entity(**row) for _, row in _read_csv(folder / "entities.csv", ("code", "kind", "name", "name_en"))
        ),
        members={group: tuple(codes) for group, codes in members.items()},
        indicators=tuple(_indicators(folder / "indicators.csv")),
        industries=tuple(
            Industry(**row) for _, row in _read_csv(folder / "industries.csv", ("set", "code", "name", "name_en"))
        ),
        sources=tuple(Permission(**row) for _, row in _read_csv(sources, ("source", "indicator")))
        if sources.exists()
        else (),
        mergers=tuple(Merger(**row) for _, row in _read_csv(mergers, ("code", "into", "month")))
        if mergers.exists()
        else (),
    )
    return catalogue.checked(str(folder))


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        head = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(str(path), "", f"is not TOML: {error}") from error
    for key, kind in _HEAD.items():
        if type(head.get(key)) is not kind:
            raise CatalogueError(str(path), key, f"is {head.get(key)!r}; a {kind.__name__} is needed")
    years = head["years"]
    if len(years) != 2 or not all(type(y) is int for y in years):
        raise CatalogueError(str(path), "years", f"is {years!r}; write [first, last]")
    head["years"] = (years[0], years[1])
    unknown = head.keys() - _HEAD.keys() - {"limits"}
    if unknown:
        raise CatalogueError(str(path), min(unknown), "unknown key; correct or remove it")
    try:
        head["limits"] = msgspec.convert(head.get("limits", {}), Limits)
    except msgspec.ValidationError as error:
        raise CatalogueError(str(path), "limits", str(error)) from error
    return head


def _indicators(path: Path) -> Iterator[Indicator]:
    columns = ("code", "name", "name_en", "kind", "unit", "decimals", "industries")
    for line, row in _read_csv(path, columns):
        if not (row["decimals"].isascii() and row["decimals"].isdigit()):
            raise CatalogueError(
                str(path), f"line {line}", f"decimals {row['decimals']!r} is no whole number; write 0 to 9"
            )
        yield Indicator(**{**row, "decimals": int(row["decimals"])})  # type: ignore[arg-type]


def _read_csv(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row) of a CSV file whose header is exactly `columns`, in any order."""
    reader = csv.DictReader(_text(path).splitlines(), strict=True)
    try:
        header = reader.fieldnames or ()
        if sorted(header) != sorted(columns):
            raise CatalogueError(str(path), "line 1", f"has columns {','.join(header)}; needed are {','.join(columns)}")
        for row in reader:
            if None in row or None in row.values():
                raise CatalogueError(str(path), f"line {reader.line_num}", f"needs {len(columns)} fields")
            yield reader.line_num, row
    except csv.Error as error:
        raise CatalogueError(str(path), f"line {reader.line_num}", str(error)) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # spreadsheet programs put a byte order mark first
    except FileNotFoundError as error:
        raise CatalogueError(str(path), "", "there is no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(str(path), "", f"cannot be read as UTF-8: {error}") from error
