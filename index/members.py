"""Groups as the mean of their members (`group_rule = "mean"`, docs/formats.md section 4).

Of each node the exact sum of the members' values, rounded once, over how many have one. A few microseconds per hundred
members and node.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from index.evaluate import Values
from index.layout import Layout, Rows
from index.reasons import Reason

Floats = NDArray[np.float64]


def means(
    layout: Layout, groups: Rows, values: Floats, coverage: Floats, merged: Rows, min_coverage: float, nodes: Rows
) -> Values:
    """Values of groups (rows) at some nodes, of which the root is the first, from those of all base entities: `values`
    float64[all nodes, cities] with NaN where missing, `coverage` [cities] of the root. `merged`: the base entities that
    are part of another, which do not count."""
    shape = (len(nodes), len(groups))
    found = Values(np.full(shape, np.nan), np.zeros(shape, np.int8), np.zeros(len(groups)))
    for place, group in enumerate(groups.tolist()):
        members = layout.members[layout.codes[group]]
        if len(merged):
            members = np.setdiff1d(members, merged, assume_unique=True)
        if len(members):
            found.coverage[place] = math.fsum(coverage[members].tolist()) / len(members)
        for number, node in enumerate(nodes.tolist()):
            row = values[node].take(members)
            there = row[~np.isnan(row)]
            if len(there):
                found.values[number, place] = math.fsum(there.tolist()) / len(there)
    found.why[np.isnan(found.values)] = Reason.NO_DATA
    low = (found.why[0] == Reason.NONE) & (found.coverage < min_coverage)
    found.values[0, low], found.why[0, low] = np.nan, Reason.LOW_COVERAGE
    return found
