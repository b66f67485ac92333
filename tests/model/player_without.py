"""The product as it is (`Without()`), and with a rule taken out of it, for the counter-proofs of played traces.

What is taken out is put in place of the product's for one test: a class, a function or an altered Lua script. They
stand in `player_without_ingest` and `player_without_index`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import player_index
import player_ingest
import pytest
from model_rules import ON, Rule
from player_index import PlayedRunner
from player_ingest import PlayedWorker


class Without:
    """What the workers of a walk are made of."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = ON - set(rules)
        self.ingest: type[PlayedWorker] = PlayedWorker
        self.runner: type[PlayedRunner] = PlayedRunner
        self.catalogue_published: Callable[[int], None] = lambda version: None

    def put_in(self, patch: pytest.MonkeyPatch) -> Without:
        """Put the gates, and what stands in the rule's place, into the product's modules."""
        from player_without_index import TAKEN_OUT as OF_INDEX
        from player_without_ingest import TAKEN_OUT as OF_INGEST

        places: dict[str, Any] = {
            "workers.ingest.acquire": player_ingest.gated_acquire,
            "workers.owned.flush": player_ingest.gated_flush,
            "workers.ingest.Probe.run": player_ingest.nobody_asks,
            "workers.hub.load": player_index.gated_load,
            "state.feed.FeedReader.read": player_index.gated_read,
            "state.feed.ENTRIES": 1,  # a read of the model is one entry
            "workers.runner.read_back": player_index.gated_read_back,
            "workers.runner.Publisher": player_index.GatedPublisher,
            "workers.robust.clear": lambda *_: 0,  # rank intervals, which the definition does not have
        }
        for rule in sorted(ON - self.rules, key=lambda rule: rule.name):
            places |= (OF_INGEST | OF_INDEX)[rule](self)
        for place, what in places.items():
            patch.setattr(place, what)
        return self
