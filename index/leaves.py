"""The leaves of a definition: what each counts, and by which options it becomes a score (docs/formats.md 4 and 7).

`[indicator."NAME"]` holds the options of the leaf NAME, and those of all leaves that `industries =` made of the
indicator NAME.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from index.catalogue import ALL, Catalogue
from index.errors import DefinitionError
from index.fields import finite, one_of
from index.tree import Source, Tree

NORMALISATIONS = ("base-share", "none", "min-max", "z-score", "rank")
BASE_SHARE, NONE, MIN_MAX, Z_SCORE, RANK = NORMALISATIONS
DIRECTIONS = ("higher", "lower")
HIGHER, LOWER = DIRECTIONS
TRANSFORMS = ("none", "log", "entropy")
LOG, ENTROPY = TRANSFORMS[1:]
# With amounts below 2^62 units and these bounds, no step of section 4 comes near where a double overflows.
_LEAST_BOUND, _GREATEST_BOUND = 1e-30, 1e30
_KEYS = ("direction", "denominator", "transform", "floor", "cap", "normalise", "goalposts")


class Leaf(Struct, frozen=True):
    """One leaf, by leaf number. `industry`: None counts all; `whole`: divides by the base of all industries.

    `decimals`, `denominator_decimals`: of the indicators. `parts`: with entropy, all industries of the indicator.
    """

    name: str
    indicator: str
    industry: str | None
    whole: bool
    direction: str
    denominator: str | None
    transform: str
    floor: float | None
    cap: float | None
    normalise: str
    goalposts: tuple[float, float] | None
    decimals: int
    denominator_decimals: int
    parts: tuple[str, ...]

    @property
    def plain(self) -> bool:
        """Whether its score is nothing but amount / base * scale."""
        return (self.normalise, self.direction, self.denominator, self.transform, self.floor, self.cap) == (
            BASE_SHARE, HIGHER, None, "none", None, None,
        )  # fmt: skip

    @property
    def relative(self) -> bool:
        """Whether its score depends on the other entities of the period."""
        return self.normalise in (Z_SCORE, RANK) or (self.normalise == MIN_MAX and self.goalposts is None)


def read_leaves(file: str, options: Any, tree: Tree, catalogue: Catalogue, normalise: str) -> tuple[Leaf, ...]:
    """The leaves of a tree with their `[indicator."..."]` options; DefinitionError names `file` and the key at fault.

    `normalise`: of leaves that do not say otherwise.
    """
    if not isinstance(options, Mapping):
        raise DefinitionError(file, "indicator", 'write the options of a leaf as a table [indicator."NAME"]')
    known = {source.indicator if source.whole else name for name, source in zip(tree.leaves, tree.sources, strict=True)}
    for name, table in options.items():
        key = f'indicator."{name}"'
        if name not in known:
            raise DefinitionError(file, key, f"{name!r} is no leaf of the tree; leaves are {', '.join(sorted(known))}")
        if not isinstance(table, Mapping):
            raise DefinitionError(file, key, 'write the options of a leaf as a table [indicator."NAME"]')
        unknown = table.keys() - set(_KEYS)
        if unknown:
            raise DefinitionError(file, f"{key}.{min(unknown)}", f"unknown key; known are {', '.join(_KEYS)}")
    leaves = []
    for name, source in zip(tree.leaves, tree.sources, strict=True):
        option = source.indicator if source.whole else name
        try:
            leaves.append(_read(name, source, options.get(option, {}), catalogue, normalise))
        except ValueError as error:
            field, _, reason = str(error).partition(": ")
            raise DefinitionError(file, f'indicator."{option}".{field}', reason) from error
    return tuple(leaves)


def _read(name: str, source: Source, table: Mapping[str, Any], catalogue: Catalogue, default: str) -> Leaf:
    """One leaf; ValueError `<key>: <reason>`."""

    def get(key: str, check: Any, otherwise: Any = None) -> Any:
        if key not in table:
            return otherwise
        try:
            return check(table[key])
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error

    indicator = catalogue.indicators[catalogue.indicator_index[source.indicator]]
    direction = get("direction", lambda v: one_of(v, DIRECTIONS), HIGHER)
    transform = get("transform", lambda v: one_of(v, TRANSFORMS), "none")
    normalise = get("normalise", lambda v: one_of(v, NORMALISATIONS), default)
    denominator = get("denominator", lambda v: _denominator(v, source, catalogue))
    floor, cap = get("floor", _bound), get("cap", _bound)
    goalposts = get("goalposts", lambda v: _goalposts(v, transform))
    if floor is not None and cap is not None and floor > cap:
        raise ValueError(f"floor: {floor!r} lies above the cap {cap!r}; exchange them")
    if direction == LOWER and normalise == NONE:
        raise ValueError("direction: `lower` has no meaning with normalise = 'none'; choose another normalisation")
    if goalposts is not None and normalise != MIN_MAX:
        raise ValueError(f"goalposts: belong to normalise = 'min-max', not to {normalise!r}; remove them or set it")
    parts: tuple[str, ...] = ()
    if transform == ENTROPY:
        parts = tuple(catalogue.industry_codes[catalogue.indicator_index[source.indicator]])
        if source.industry is not None:
            raise ValueError(f"transform: entropy is taken over all industries, but {name} is one of them")
        if parts == (ALL,) or len(parts) < 2:
            raise ValueError(f"transform: entropy needs at least two industries, and {source.indicator} has fewer")
        for key in ("denominator", "floor", "cap"):
            if key in table:
                raise ValueError(f"{key}: does not go with transform = 'entropy'; remove one of them")
    denominator_decimals = 0
    if denominator is not None:
        denominator_decimals = catalogue.indicators[catalogue.indicator_index[denominator]].decimals
    return Leaf(
        name, source.indicator, source.industry, source.whole, direction, denominator, transform, floor, cap,
        normalise, goalposts, indicator.decimals, denominator_decimals, parts,
    )  # fmt: skip


def _denominator(value: Any, source: Source, catalogue: Catalogue) -> str:
    if value not in catalogue.indicator_index:
        raise ValueError(f"{value!r} is no indicator of the catalogue")
    if value == source.indicator and source.industry is None:
        raise ValueError("is the indicator itself, so it would be 1 everywhere; name another")
    return str(value)


def _bound(value: Any) -> float:
    bound = finite(value)
    if bound != 0 and not _LEAST_BOUND <= math.fabs(bound) <= _GREATEST_BOUND:
        raise ValueError(f"is {value!r}; 0 or a size from {_LEAST_BOUND} to {_GREATEST_BOUND} is needed")
    return bound


def _goalposts(value: Any, transform: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"is {value!r}; write [low, high]")
    low, high = map(_bound, value)
    if low > high:
        raise ValueError(
            f"[{low!r}, {high!r}]: low stands above high; write [{high!r}, {low!r}], "
            "and direction = 'lower' if less is better"
        )
    if low == high:
        raise ValueError(f"[{low!r}, {high!r}]: are equal, so there is no scale between them; move one")
    if transform == LOG and low <= 0:
        raise ValueError(f"[{low!r}, {high!r}]: under log both must be positive; raise the low one")
    return low, high
