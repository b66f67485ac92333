"""A catalogue of shops, made in the test: nothing in the engine knows of cities. Small limits, so that they are met."""

from __future__ import annotations

from typing import Any

from index.catalogue import Catalogue, Entity, Indicator, Industry, Limits, Permission

SHOPS = ("anna", "bert:2", "carl.x", "dora")
# code -> (kind, decimals, industry set)
INDICATORS = {
    "till.sales": ("flow", 2, "goods"),
    "till.visits": ("flow", 0, ""),
    "till.fine": ("flow", 9, ""),
    "staff": ("stock", 1, ""),
    "shelf": ("stock", 0, "goods"),
}
GOODS = ("bread", "milk", "tea")
LIMITS = Limits(window=16, jump=1000, cell=10**6, future_s=3600, message_bytes=4000, event_bytes=700)


def shops(version: int = 1, **changes: Any) -> Catalogue:
    """Four shops on two streets in Berlin, five indicators, sources that may write only some of them."""
    streets = {"street:north": ("anna", "bert:2"), "street:south": ("carl.x", "dora")}
    fields: dict[str, Any] = {
        "name": "shops",
        "version": version,
        "timezone": "Europe/Berlin",
        "base_kind": "shop",
        "years": (2020, 2023),
        "limits": LIMITS,
        "entities": (*(Entity(s, "shop", s) for s in SHOPS), *(Entity(s, "street", s) for s in streets)),
        "members": streets,
        "indicators": tuple(Indicator(c, c, "", k, "", d, s) for c, (k, d, s) in INDICATORS.items()),
        "industries": tuple(Industry("goods", code, code) for code in GOODS),
        "sources": (
            Permission("till-*", "till.sales"),
            Permission("till-*", "till.visits"),
            Permission("*-office", "staff"),
            Permission("mute", ""),
        ),
    }
    return Catalogue(**(fields | changes)).checked("shops")
