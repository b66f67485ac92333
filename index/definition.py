"""The definition of an index system: a TOML text, read and checked against a catalogue (docs/formats.md section 7).

Keys without a default must be given: system, version, title, grains, tree, and base where a leaf is a share of it.
Defaults: scale 100, groups none, nation none, grace_s 0, normalise base-share, group_rule sum, mergers restate,
renormalise false, min_coverage 0, mean_yoy_from none, mean_yoy_step period; no grades, rankings, options of indicators
or robustness. Unknown keys are refused: a misspelt one must not pass. The parts are read by `tree_table`, `leaves`,
`grades` and `rankings`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from index.catalogue import Catalogue
from index.columns import Columns, columns_of
from index.errors import DefinitionError
from index.fields import name, number, one_of, text, truth, whole
from index.grades import Grade, Robustness, read_grades, read_robustness
from index.leaves import BASE_SHARE, NORMALISATIONS, Leaf, read_leaves
from index.periods import Grain, Period
from index.rankings import Declared, Ranking, read_rankings
from index.tree import Tree
from index.tree_table import read_tree

GROUP_RULES = ("sum", "mean")
MERGERS = ("restate", "keep")
STEPS = ("period", "year")
_LEAST_SCALE, _GREATEST_SCALE = 1e-9, 1e12  # keeps every value far from where a double overflows
MAX_TEXT = 256 << 10  # characters of a definition: sixteen times the largest; reading it stays below a second or two
_MAX_GRACE_S = 366 * 86_400
_KEYS = frozenset((
    "system", "version", "title", "base", "scale", "grains", "groups", "nation", "grace_s", "normalise",
    "group_rule", "mergers", "renormalise", "min_coverage", "mean_yoy_from", "mean_yoy_step", "tree", "indicator",
    "grade", "robustness", "ranking",
))  # fmt: skip
T = TypeVar("T")


class Definition(Struct, frozen=True, dict=True):
    """One index system. `base`: None where no leaf needs it; `leaves`: by leaf number; `text` is the TOML that it was
    read from."""

    system: str
    version: int
    title: str
    base: Period | None
    scale: float
    grains: tuple[Grain, ...]
    groups: tuple[str, ...]
    nation: str | None
    grace_s: int
    normalise: str
    group_rule: str
    mergers: str
    renormalise: bool
    min_coverage: float
    mean_yoy_from: Period | None
    mean_yoy_step: str
    tree: Tree
    leaves: tuple[Leaf, ...]
    grades: tuple[Grade, ...]
    robustness: Robustness | None
    rankings: tuple[Ranking, ...]
    text: str

    @cached_property
    def columns(self) -> Columns:
        """The columns of amounts that the leaves need."""
        return columns_of(self.leaves)

    @cached_property
    def relative(self) -> bool:
        """Whether some value depends on the other entities of the period, so that there is no growth to date."""
        return any(leaf.relative for leaf in self.leaves)

    @property
    def mean_of_members(self) -> bool:
        """Whether the value of a group is the mean of its members' values."""
        return self.group_rule == "mean"

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
        if len(text) > MAX_TEXT:
            raise DefinitionError(file, "", f"has {len(text)} characters; {MAX_TEXT} are the most")
        # A text may come from `control`: whatever it holds, it is refused, and the worker goes on.
        try:
            table = tomllib.loads(text)
            unknown = table.keys() - _KEYS
            if unknown:
                raise DefinitionError(file, min(unknown), f"unknown key; known are {', '.join(sorted(_KEYS))}")
            return _read(file, table, catalogue, text)
        except RecursionError:
            raise DefinitionError(file, "", "is nested too deep") from None
        except (ValueError, OverflowError) as error:  # also an integer of more digits than Python converts
            raise DefinitionError(file, "", f"is not TOML: {error}") from error


def _read(file: str, table: Mapping[str, Any], catalogue: Catalogue, source: str) -> Definition:
    def get(key: str, check: Callable[[Any], T], default: Any = ...) -> T:
        if key not in table and default is ...:
            raise DefinitionError(file, key, "is missing; it must be given")
        try:
            return check(table.get(key, default))
        except ValueError as error:
            raise DefinitionError(file, key, str(error)) from error

    grains = get("grains", _grains)
    base = get("base", lambda v: None if v is None else _period(v, grains, catalogue), None)
    groups = get("groups", lambda v: _groups(v, catalogue), [])
    nation = get("nation", lambda v: _nation(v, groups, catalogue), None)
    normalise = get("normalise", lambda v: one_of(v, NORMALISATIONS), BASE_SHARE)
    tree = read_tree(file, get("tree", _table), catalogue)
    leaves = read_leaves(file, table.get("indicator", {}), tree, catalogue, normalise)
    needs_base = next((leaf.name for leaf in leaves if leaf.normalise == BASE_SHARE), None)
    if base is None and needs_base is not None:
        raise DefinitionError(
            file, "base", f"is missing; {needs_base} is normalised by base-share, so the base period must be given"
        )
    grades = read_grades(file, table.get("grade", []))
    return Definition(
        system=get("system", name),
        version=get("version", lambda v: whole(v, 1, 2**53)),
        title=get("title", text),
        base=base,
        scale=get("scale", lambda v: number(v, _LEAST_SCALE, _GREATEST_SCALE), 100),
        grains=grains,
        groups=groups,
        nation=nation,
        grace_s=get("grace_s", lambda v: whole(v, 0, _MAX_GRACE_S), 0),
        normalise=normalise,
        group_rule=get("group_rule", lambda v: one_of(v, GROUP_RULES), GROUP_RULES[0]),
        mergers=get("mergers", lambda v: one_of(v, MERGERS), MERGERS[0]),
        renormalise=get("renormalise", truth, False),
        min_coverage=get("min_coverage", lambda v: number(v, 0, 1), 0),
        mean_yoy_from=get("mean_yoy_from", lambda v: None if v is None else _period(v, grains, catalogue), None),
        mean_yoy_step=get("mean_yoy_step", lambda v: one_of(v, STEPS), STEPS[0]),
        tree=tree,
        leaves=leaves,
        grades=grades,
        robustness=read_robustness(file, table.get("robustness"), tree),
        rankings=read_rankings(
            file,
            table.get("ranking", []),
            Declared(tree, grains, groups, nation, catalogue.base_kind, grades, catalogue.years),
        ),
        text=source,
    )


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
