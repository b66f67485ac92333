"""One system as the alert worker runs it: its world, its state, and messages from alerts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from index.catalogue import Catalogue
from index.definition import Definition
from index.rules.alert import Alert, parts_of
from index.rules.engine import evaluate
from index.rules.pieces import all_pieces, restore, take_pieces
from index.rules.published import Published
from index.rules.rule import Rule
from index.rules.state import State, rank_piece
from index.rules.world import World
from stream.alerts import Standing, alert_record, piece_records
from stream.messages import AlertMessage, ControlVersion, IndexUpdate, RankingDelta, RankingTable
from stream.publisher import Record
from workers.alert_whole import Whole
from workers.settings import Settings

VERSIONS = "versions"  # the piece that names definition and catalogue of the last revision


class AlertSystem:
    """Evaluates one system. What `records` gives, with the position, is the state after the last revision."""

    def __init__(
        self, settings: Settings, rules: tuple[Rule, ...], control: ControlVersion, catalogue: Catalogue
    ) -> None:
        self._settings, self._rules = settings, rules
        self._titles = {rule.name: rule.title for rule in rules}
        self.versions = control.version, catalogue.version
        definition = Definition.parse(control.definition, catalogue, f"control {control.system}/{control.version}")
        self.system = control.system
        self.world = World.of(catalogue, definition)
        self.state = State()
        self._written: tuple[int, int] | None = None  # versions, as they stand on the topic

    def restore(
        self, pieces: Mapping[str, bytes], standing: Iterable[Standing], updates: Iterable[IndexUpdate]
    ) -> None:
        """Begin where the last owner stopped. `updates`: what is committed up to there.

        Alerts of rules that are no more are ended by `orphans`.
        """
        self.state = restore(self.world, pieces)
        for each in standing:
            message = each.alert
            if message.state in ("firing", "held"):
                alert = _alert(message)
                self.state.alerts[alert.rule, alert.subject] = alert
        for update in updates:
            self.state.show(self.world, update)

    def watch_anew(self, rankings: frozenset[str], tables: Iterable[RankingTable]) -> None:
        """Rankings that no rule has watched so far begin with their tables as they are on the topic now."""
        for table in tables:
            if table.scope is None and table.ranking in rankings:
                key = table.ranking, table.period
                self.state.ranks[key] = dict(zip(table.rows.entity, table.rows.rank, strict=True))
                self.state.rank_revision[key] = table.revision
                self.state.touched.add(rank_piece(key))

    def catch_up(self, rankings: frozenset[str], delta: RankingDelta) -> None:
        """One that lies before the position, and behind such a table: tables lag."""
        if delta.ranking in rankings:
            self.state.move(delta)

    def adopt(self, other: AlertSystem) -> None:
        """Take the state over from before a change of definition or catalogue."""
        pieces = all_pieces(other.world, other.state)
        rows = [update for by_entity in other.state.rows.values() for update in by_entity.values()]
        self.state = restore(self.world, pieces)
        self.state.alerts = other.state.alerts
        for update in rows:
            self.state.show(self.world, update)
        self.state.touched |= other.state.touched

    def orphans(self) -> list[AlertMessage]:
        """Alerts whose rule is gone from the file: they are resolved, since nobody would."""
        names = {rule.name for rule in self._rules if not rule.systems or self.system in rule.systems}
        gone = [key for key in self.state.alerts if key[0] not in names]
        return [self._message(_ended(self.state.alerts.pop(key), self.state)) for key in gone]

    def evaluate(self, whole: Whole, sources: Mapping[str, int]) -> list[AlertMessage]:
        """What one revision changes, as messages."""
        revision = whole.revision
        published = Published(
            revision.revision, revision.watermark, whole.updates, whole.deltas, whole.removed, sources
        )
        self.state, alerts = evaluate(self.world, self._rules, self.state, published)
        return [self._message(alert) for alert in alerts]

    def records(self, messages: Iterable[AlertMessage]) -> list[Record]:
        """The messages, and what changed of the state since the last call."""
        pieces = take_pieces(self.world, self.state)
        if self._written != self.versions:
            self._written = self.versions
            pieces[VERSIONS] = msgspec.json.encode(self.versions)
        return [*map(alert_record, messages), *piece_records(self.system, pieces)]

    def period_now(self) -> str | None:
        """The open period of the finest grain."""
        return None if self.state.day is None else self.world.period_of_day(self.state.day).name

    def _message(self, alert: Alert) -> AlertMessage:
        period = alert.period or self.period_now() or ""
        places = {"{system}": alert.system, "{entity}": alert.entity, "{period}": period}
        dashboard = self._settings.dashboard
        for place, text in places.items():
            dashboard = dashboard.replace(place, text)
        links = {"runbook": f"{self._settings.runbook}#alert-{alert.type}"}
        if dashboard:
            links["dashboard"] = dashboard
        return AlertMessage(
            system=alert.system,
            rule=alert.rule,
            type=alert.type,
            severity=alert.severity,
            title=self._titles.get(alert.rule, ""),
            entity=alert.entity,
            node=alert.node,
            period=alert.period,
            state=alert.state,
            value=alert.value,
            bound=alert.bound,
            since=alert.since_us,
            at=alert.at_us,
            revision=alert.revision,
            held_by=alert.held_by,
            cause=None,
            links=links,
        )


def definition_of(pieces: Mapping[str, bytes]) -> int | None:
    """The definition that the state on the topic was made with; None where a version of ours did not say so yet."""
    return int(msgspec.json.decode(pieces[VERSIONS])[0]) if VERSIONS in pieces else None


def subject_of_message(message: AlertMessage) -> str:
    """Entity, or `entity@node`."""
    return message.entity if message.node is None else f"{message.entity}@{message.node}"


def _alert(message: AlertMessage) -> Alert:
    entity, node = parts_of(subject_of_message(message))
    return Alert(
        system=message.system,
        rule=message.rule,
        type=message.type,
        severity=message.severity,
        entity=entity,
        node=node,
        period=message.period,
        state=message.state,
        value=message.value,
        bound=message.bound,
        since_us=message.since,
        at_us=message.at,
        revision=message.revision,
        held_by=message.held_by,
    )


def _ended(alert: Alert, state: State) -> Alert:
    at_us = alert.at_us if state.watermark_us is None else state.watermark_us
    return msgspec.structs.replace(alert, state="resolved", at_us=at_us, revision=state.revision, held_by="")
