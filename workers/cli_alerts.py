"""`tidewatch alerts`: what fires, and silencing what people know of."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from workers.cli_alert_trial import play_scenario
from workers.output import PlainTable, console, emit, note, told
from workers.settings import Settings

alerts = typer.Typer(help="Alerts: what fires, and silences.", no_args_is_help=True)
alerts.command("test")(play_scenario)

Json = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]
_IN = re.compile(r"([0-9]{1,4})(m|h|d)")


@alerts.command("list")
def list_alerts(
    firing: Annotated[bool, typer.Option("--firing", help="only those that fire and are not silenced")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", help="of resolved ones, the latest; 0: all")] = 20,
    json: Json = False,
) -> None:
    """Alerts as they stand on the topic: firing, held (with what explains them), resolved; and silences."""
    import time

    import msgspec

    from stream.alerts import read_alerts
    from workers.alert_system import subject_of_message
    from workers.alert_tell import said, silenced_by

    with told():
        settings = Settings()
        held = read_alerts(settings.kafka, options=settings.kafka_options)
        rows: list[tuple[str, str, Any]] = []
        for standing in sorted(held.alerts.values(), key=lambda each: -each.written_ms):
            alert = standing.alert
            silence = silenced_by(held.silences, alert.rule, subject_of_message(alert), time.time())
            state = "silenced" if alert.state == "firing" and silence is not None else alert.state
            if not firing or state == "firing":
                rows.append((state, subject_of_message(alert), alert))
        order = ("firing", "silenced", "held", "resolved")
        rows.sort(key=lambda row: order.index(row[0]) if row[0] in order else len(order))
        resolved = [row for row in rows if row[0] == "resolved"]
        rows = [row for row in rows if row[0] != "resolved"] + (resolved[:limit] if limit else resolved)
        if json:
            found = [{**msgspec.to_builtins(alert), "shown": state} for state, _, alert in rows]
            emit({"alerts": found, "silences": msgspec.to_builtins(held.silences)})
            return
        table = PlainTable("state", "severity", "rule", "entity", "period", "value", "since", "revision", "because of")
        for state, subject, alert in rows:
            since = datetime.fromtimestamp(alert.since / 1e6, UTC).strftime("%Y-%m-%d %H:%MZ")
            table.add_row(
                state, alert.severity, alert.rule, subject, alert.period or "", said(alert), since, str(alert.revision),
                alert.held_by,
            )  # fmt: skip
        console.print(table)
        for name, silence in sorted(held.silences.items()):
            note(f"silence {name} until {silence.until}: {silence.reason} ({silence.author})")


@alerts.command()
def silence(
    what: Annotated[str, typer.Argument(help="RULE/ENTITY, as `list` prints them; * stands for any")],
    until: Annotated[str, typer.Option(help="RFC 3339 time, or from now on: 30m, 8h, 2d")] = "",
    reason: Annotated[str, typer.Option(help="why, for those who come after")] = "",
    author: Annotated[str, typer.Option(help="who")] = "",
    end: Annotated[bool, typer.Option("--end", help="end the silence now")] = False,
    json: Json = False,
) -> None:
    """Notify nobody of an alert until a time; it is still recorded. An entity is silenced with its nodes."""
    from stream.alerts import publish_silence
    from stream.messages import AlertSilence
    from workers.alert import rules_of

    with told():
        settings = Settings()
        rule, slash, subject = what.partition("/")
        known = {each.name for each in rules_of(settings)} | {"*"}
        if not slash or not subject or rule not in known:
            raise ValueError(f"{what} is not RULE/ENTITY with a rule of {', '.join(sorted(known))}")
        if end:
            publish_silence(settings.kafka, what, None, settings.kafka_options)
        else:
            if not (until and reason and author):
                raise ValueError("a silence needs --until, --reason and --author")
            now = datetime.now(UTC)
            made = AlertSilence(
                rule=rule, subject=subject, until=_until(until, now).isoformat(timespec="seconds"), author=author,
                reason=reason, at=now.isoformat(timespec="seconds"),
            )  # fmt: skip
            publish_silence(settings.kafka, what, made, settings.kafka_options)
            until = made.until
        if json:
            emit({"silence": what, "until": None if end else until})
        else:
            note(f"silence {what} {'ended' if end else f'until {until}'}")


def _until(text: str, now: datetime) -> datetime:
    match = _IN.fullmatch(text)
    if match is not None:
        unit = {"m": "minutes", "h": "hours", "d": "days"}[match[2]]
        return now + timedelta(**{unit: int(match[1])})
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or at <= now:
        raise ValueError(f"--until {text!r}: a time to come with its offset, such as 2026-01-31T08:00:00Z, or 8h")
    return at
