"""The cities and groups that a scenario speaks of, by position: a thin view of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.catalogue import Catalogue


@dataclass(frozen=True)
class Frame:
    """`codes[i]` is the code of city i; `groups[code]` the positions of its members; `at[name]` a city's position.

    `kinds[kind]` lists the codes of that kind's entities.
    """

    codes: list[str]
    at: dict[str, int]
    groups: dict[str, NDArray[np.int64]]
    kinds: dict[str, list[str]]

    @classmethod
    def of(cls, catalogue: Catalogue) -> Frame:
        """Positions are those of `catalogue.cities`."""
        kinds: dict[str, list[str]] = {}
        for entity in catalogue.entities:
            kinds.setdefault(entity.kind, []).append(entity.code)
        names = {catalogue.name_of(code): i for i, code in enumerate(catalogue.cities)}
        groups = [code for kind, codes in kinds.items() if kind != catalogue.base_kind for code in codes]
        members = {code: np.asarray(catalogue.members_of(code), dtype=np.int64) for code in groups}
        return cls(list(catalogue.cities), names, members, kinds)
