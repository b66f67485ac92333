"""Values, growths and shares of places: what plain rankings keep for entities, for nodes as well."""

from __future__ import annotations

import numpy as np

from index.growth import share as share_of
from index.measures.result import Result, settle
from index.measures.view import View
from index.reasons import Reason


def value(view: View) -> Result:
    """v, missing for its own reason."""
    return Result(view.values(view.period), view.why[view.node, view.row])


def growth(view: View) -> Result:
    """The growth that the measure is named after."""
    return view.growth(view.ranking.measure, view.period)


def share(view: View) -> Result:
    """v(e) / v(parent)."""
    return share_of(view.values(view.period), view.parent(view.period))


def node_share(view: View) -> Result:
    """v(e, n) / v(e, other): the part of an industry in a city's index, for instance (DTI-2023, industries)."""
    whole = view.values(view.period, view.number(view.ranking.other))
    return share_of(view.values(view.period), whole)


def growth_multiple(view: View) -> Result:
    """g(e) / g(nation)."""
    kind, nation = view.ranking.over, view.outline.nation
    own = view.growth(kind, view.period)
    whole = view.growth(kind, view.period, view.node, np.full(view.n, nation)).values
    with np.errstate(all="ignore"):
        values = own.values / whole
    return settle(
        values,
        (own.why != Reason.NONE, own.why),
        (np.isnan(whole), Reason.NO_PARENT),
        (whole == 0.0, Reason.ZERO_PARENT),
    )
