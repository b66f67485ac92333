"""Alert rules, pure: from what revisions publish to alerts that fire, are held, and resolve.

`evaluate(world, rules, state, published)` is all there is to it. Time is event time (the watermark); no clock, no
Kafka, no Redis. The way of a revision:

    published  what it holds: updates, deltas, watermark, positions of the sources
    state      what is kept between revisions; `pieces` writes and reads it
    days       the values at the end of each day of event time, as flows of a day: the window of drop and drawdown
    falls      drop and drawdown: flows of a span against those before, beside the others of the kind
    measures   growth, divergence, revision;  `ranks` ranks;  `silence` what sent nothing
    explain    what holds an alert back: a silence, the group that falls with it, the one city that it is due to
    judge      the state of each rule and entity: pending, firing, held, resolved
    engine     all of these, for one revision

What is given: `rule` (systems/alerts.toml), `world` (entities, groups, nodes and days of a system).
"""

from index.rules.alert import Alert
from index.rules.engine import evaluate
from index.rules.published import Published
from index.rules.rule import Rule, read_rules
from index.rules.state import State
from index.rules.world import World

__all__ = ["Alert", "Published", "Rule", "State", "World", "evaluate", "read_rules"]
