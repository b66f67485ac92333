"""The definition of an index system: a TOML text, read and checked against a catalogue (docs/formats.md section 7).

Keys without a default must be given: system, version, title, base, grains, tree. Defaults: scale 100, groups none,
nation none, grace_s 0, normalise base-share, group_rule sum, renormalise false, min_coverage 0, mean_yoy_from none,
ranking none; of a ranking: node index, grains those of the system, scope none, rank_decimals none. Unknown keys are
refused: a misspelt one must not pass.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from index.catalogue import Catalogue
from index.catalogue_checks import CODE, CODE_RULE
from index.errors import DefinitionError
from index.normalise import NORMALISATIONS
from index.periods import Grain, Period
from index.rankings import Ranking, read_rankings
from index.tree import Tree, read_tree

GROUP_RULES = ("sum",)
_LEAST_SCALE, _GREATEST_SCALE = 1e-9, 1e12  # keeps every value far from where a double overflows
_MAX_GRACE_S = 366 * 86_400
_KEYS = frozenset((
    "system", "version", "title", "base", "scale", "grains", "groups", "nation", "grace_s", "normalise",
    "group_rule", "renormalise", "min_coverage", "mean_yoy_from", "tree", "ranking",
))  # fmt: skip
T = TypeVar("T")


class Definition(Struct, frozen=True):
    """One index system. `text` is the TOML that it was read from."""

    system: str
    version: int
    title: str
    base: Period
    scale: float
    grains: tuple[Grain, ...]
    groups: tuple[str, ...]
    nation: str | None
    grace_s: int
    normalise: str
    group_rule: str
    renormalise: bool
    min_coverage: float
    mean_yoy_from: Period | None
    tree: Tree
    rankings: tuple[Ranking, ...]
    text: str

    @classmethod
    def load(cls, path: str | Path, catalogue: Catalogue) -> Definition:
        """Read a file; DefinitionError names it, the key and the reason."""
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DefinitionError(str(path), "", f"cannot be read: {error}") from error
        return cls.parse(text, catalogue, str(path))

    @classmethod
    def parse(cls, text: str, catalogue: Catalogue, file: str = "definition") -> Definition:
        """Read a TOML text; DefinitionError names `file`, the key and the reason."""
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise DefinitionError(file, "", f"is not TOML: {error}") from error
        unknown = table.keys() - _KEYS
        if unknown:
            raise DefinitionError(file, min(unknown), f"unknown key; known are {', '.join(sorted(_KEYS))}")
        return _read(file, table, catalogue, text)


def _read(file: str, table: Mapping[str, Any], catalogue: Catalogue, text: str) -> Definition:
    def get(key: str, check: Callable[[Any], T], default: Any = ...) -> T:
        if key not in table and default is ...:
            raise DefinitionError(file, key, "is missing; it must be given")
        try:
            return check(table.get(key, default))
        except ValueError as error:
            raise DefinitionError(file, key, str(error)) from error

    grains = get("grains", _grains)
    base = get("base", lambda v: _period(v, grains, catalogue))
    groups = get("groups", lambda v: _groups(v, catalogue), [])
    tree = get("tree", _table)
    return Definition(
        system=get("system", name),
        version=get("version", lambda v: whole(v, 1, 2**53)),
        title=get("title", _text),
        base=base,
        scale=get("scale", lambda v: _number(v, _LEAST_SCALE, _GREATEST_SCALE), 100),
        grains=grains,
        groups=groups,
        nation=get("nation", lambda v: _nation(v, groups, catalogue), None),
        grace_s=get("grace_s", lambda v: whole(v, 0, _MAX_GRACE_S), 0),
        normalise=get("normalise", lambda v: one_of(v, NORMALISATIONS), NORMALISATIONS[0]),
        group_rule=get("group_rule", lambda v: one_of(v, GROUP_RULES), GROUP_RULES[0]),
        renormalise=get("renormalise", _truth, False),
        min_coverage=get("min_coverage", lambda v: _number(v, 0, 1), 0),
        mean_yoy_from=get("mean_yoy_from", lambda v: None if v is None else _period(v, grains, catalogue), None),
        tree=(read := read_tree(file, tree, catalogue.indicator_index)),
        rankings=read_rankings(
            file, table.get("ranking", []), read, grains, groups, table.get("nation"), catalogue.base_kind
        ),
        text=text,
    )


def name(value: Any) -> str:
    """A name that can stand in a message key; ValueError otherwise."""
    if not isinstance(value, str) or not CODE.fullmatch(value):
        raise ValueError(f"{value!r}: a name {CODE_RULE}")
    return value


def whole(value: Any, low: int, high: int) -> int:
    """A whole number in low..high; ValueError otherwise."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"is {value!r}; a whole number from {low} to {high} is needed")
    return value


def one_of(value: Any, known: tuple[str, ...]) -> str:
    """One of the known words; ValueError otherwise."""
    if value not in known:
        raise ValueError(f"is {value!r}; known are {', '.join(known)}")
    return str(value)


def _number(value: Any, low: float, high: float) -> float:
    if type(value) not in (int, float) or not low <= value <= high:
        raise ValueError(f"is {value!r}; a number from {low} to {high} is needed")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"is {value!r}; a text is needed")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"is {value!r}; write true or false")
    return value


def _table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("a table is needed: [tree]")
    return value


def _grains(value: Any) -> tuple[Grain, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise ValueError("a list of grains is needed, for example ['quarter', 'year']")
    grains = tuple(Grain.parse(v) for v in value)
    if len(set(grains)) != len(grains):
        raise ValueError("names a grain twice; remove one")
    return grains


def _period(value: Any, grains: tuple[Grain, ...], catalogue: Catalogue) -> Period:
    if not isinstance(value, str):
        raise ValueError(f"is {value!r}; write a period as text, for example '2021Q1'")
    period = Period.parse(value)
    if period.grain not in grains:
        raise ValueError(
            f"{value} is a {period.grain.label}, which is not among the grains; add it there or choose another"
        )
    first, last = catalogue.years
    if not first <= period.year <= last:
        raise ValueError(f"{value} lies outside the catalogue's years {first} to {last}")
    return period


def _groups(value: Any, catalogue: Catalogue) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise ValueError("a list of group kinds is needed")
    for kind in value:
        if kind not in catalogue.kinds:
            raise ValueError(
                f"{kind!r} is no group kind of the catalogue; known are {', '.join(catalogue.kinds) or 'none'}"
            )
    if len(set(value)) != len(value):
        raise ValueError("names a kind twice; remove one")
    return tuple(value)


def _nation(value: Any, groups: tuple[str, ...], catalogue: Catalogue) -> str | None:
    if value is None:
        return None
    entity = catalogue.entity_of.get(value) if isinstance(value, str) else None
    if entity is None or entity.kind not in groups:
        raise ValueError(f"{value!r} is no group of the kinds in groups")
    return entity.code
