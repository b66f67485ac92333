"""The cities and groups that a scenario speaks of, by position: a thin view of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.catalogue import Catalogue

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Frame:
    """`codes[i]` is the code of city i; `groups[code]` the positions of its members; `at[name]` a city's position.

    `kinds[kind]` lists the codes of that kind's entities. Cities that were merged into others are in none of these.
    """

    codes: list[str]
    at: dict[str, int]
    groups: dict[str, NDArray[np.int64]]
    kinds: dict[str, list[str]]

    @classmethod
    def of(cls, catalogue: Catalogue) -> Frame:
        """Positions are those of `catalogue.cities` without the merged ones."""
        merged = {line.code for line in catalogue.mergers}
        codes = [code for code in catalogue.cities if code not in merged]
        position = {code: i for i, code in enumerate(codes)}
        kinds: dict[str, list[str]] = {}
        for entity in catalogue.entities:
            if entity.code not in merged:
                kinds.setdefault(entity.kind, []).append(entity.code)
        names = {catalogue.name_of(code): i for code, i in position.items()}
        groups = [code for kind, inside in kinds.items() if kind != catalogue.base_kind for code in inside]
        members = {
            code: np.array(sorted(position[m] for m in catalogue.members[code] if m not in merged), dtype=np.int64)
            for code in groups
        }
        return cls(codes, names, members, kinds)
