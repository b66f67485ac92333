"""Which integers a system keeps: one column for each indicator, or single industry of one, that some leaf needs.

The first columns are those of the leaves, in leaf order; then denominators, industries of an entropy, and indicators
that only the base is taken from. A leaf of one industry and one of its indicator are two columns, and a cell counts in
both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from index.leaves import ENTROPY, Leaf

Key = tuple[str, str | None]  # indicator, industry (None: all)


class Columns(Struct, frozen=True):
    """`keys`: by column. By leaf number: `denominator` and `base` (the column that the base is taken from; its own but
    for leaves made by `industries =`), `parts` (the industries of an entropy). -1: none.

    `used`: bool[columns], whether scores are made of it; so a cell there is one of the system, and growth to date looks
    at it. Not used are indicators of which only the base or the industries count. `plain`, `others`: numbers of the
    leaves that are nothing but a share of the base, and of the rest.
    """

    keys: tuple[Key, ...]
    denominator: tuple[int, ...]
    base: tuple[int, ...]
    parts: tuple[tuple[int, ...], ...]
    used: NDArray[np.bool_]
    plain: tuple[int, ...]
    others: tuple[int, ...]


def columns_of(leaves: Sequence[Leaf]) -> Columns:
    """The columns of some leaves."""
    number: dict[Key, int] = {(leaf.indicator, leaf.industry): i for i, leaf in enumerate(leaves)}
    assert len(number) == len(leaves)  # names of leaves differ, and say what they count
    used = [leaf.transform != ENTROPY for leaf in leaves]

    def column(key: Key, use: bool) -> int:
        if key not in number:
            number[key] = len(number)
            used.append(False)
        used[number[key]] |= use
        return number[key]

    denominator = tuple(column((leaf.denominator, None), True) if leaf.denominator else -1 for leaf in leaves)
    parts = tuple(tuple(column((leaf.indicator, part), True) for part in leaf.parts) for leaf in leaves)
    base = tuple(column((leaf.indicator, None if leaf.whole else leaf.industry), False) for leaf in leaves)
    plain = tuple(i for i, leaf in enumerate(leaves) if leaf.plain)
    others = tuple(i for i, leaf in enumerate(leaves) if not leaf.plain)
    return Columns(tuple(number), denominator, base, parts, np.array(used, np.bool_), plain, others)
