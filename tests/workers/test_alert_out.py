"""The clients of Alertmanager and of a webhook, against a server of the test; no clock runs but the test's."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import msgspec
import pytest
import structlog

from stream.messages import AlertMessage
from tests.workers.receiver import Clock, Receiver
from workers import alert_out, alert_webhook
from workers.alert_call import LAST_S, backoff_s
from workers.alert_notice import notice_of
from workers.alert_out import EVERY_S, LIVES, Alertmanager, Notice, Webhook, outputs_of
from workers.alert_webhook import SIGNATURE, TRIES, signature
from workers.settings import Settings

FIRING = Notice(
    system="dti-2023", rule="sharp-drop", entity="province:330000", kind="province", period="2022Q2", severity="page",
    state="firing", summary="Zhejiang fell by 31 %", description="payment took most of it", since_s=1_700_000_000.0,
    runbook="runbook", dashboard="board", value=-0.31, bound=-0.14, revision=7, cause={"cities": ["330100"]},
)  # fmt: skip
RESOLVED = msgspec.structs.replace(FIRING, state="resolved", ended_s=1_700_000_030.0, revision=9)


@asynccontextmanager
async def running(output: Alertmanager | Webhook) -> AsyncIterator[None]:
    task = asyncio.create_task(output.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def labels(alert: dict[str, Any]) -> dict[str, str]:
    return alert["labels"]


async def test_a_firing_alert_is_sent_and_resent_until_it_is_resolved() -> None:
    clock = Clock()
    async with Receiver() as receiver:
        manager = Alertmanager(receiver.url, wall=clock, pause=clock.pause, draw=lambda: 0.0)
        manager.tell(FIRING)
        async with running(manager):
            assert await clock.waited() == (True, EVERY_S)
            clock.go(EVERY_S)
            await clock.waited()
            manager.tell(RESOLVED)
            clock.go(1)
            await clock.waited()
            clock.go(EVERY_S)
            await clock.waited()
    first, again, ended = receiver.bodies
    assert labels(first[0]) == {
        "alertname": "sharp-drop", "severity": "page", "system": "dti-2023", "entity": "province:330000",
        "kind": "province", "period": "2022Q2",
    }  # fmt: skip
    assert first[0]["annotations"] == {
        "summary": "Zhejiang fell by 31 %", "description": "payment took most of it",
        "runbook_url": "runbook", "dashboard": "board",
    }  # fmt: skip
    assert first[0]["startsAt"] == again[0]["startsAt"] == ended[0]["startsAt"] == "2023-11-14T22:13:20.000Z"
    until = [datetime.fromisoformat(sent[0]["endsAt"]).timestamp() - FIRING.since_s for sent in (first, again, ended)]
    assert until == [LIVES * EVERY_S, LIVES * EVERY_S + EVERY_S, 30.0]
    assert manager.counts == {"sent": 3}


async def test_only_news_is_sent_between_two_rounds() -> None:
    clock, other = Clock(), msgspec.structs.replace(FIRING, entity="330100", kind="city")
    async with Receiver() as receiver:
        manager = Alertmanager(receiver.url, wall=clock, pause=clock.pause)
        manager.tell(FIRING, known=True)  # what the topic said at the start is told like news
        async with running(manager):
            await clock.waited()
            manager.tell(other)
            clock.go(10)
            assert await clock.waited() == (True, EVERY_S - 10)
            clock.go(EVERY_S - 10)
            await clock.waited()
    assert [[labels(a)["entity"] for a in sent] for sent in receiver.bodies] == [
        ["province:330000"], ["330100"], ["province:330000", "330100"],
    ]  # fmt: skip


async def test_an_alert_of_a_new_period_ends_the_one_of_the_old() -> None:
    clock, moved = Clock(), msgspec.structs.replace(FIRING, period="2022Q3", since_s=FIRING.since_s + 60)
    async with Receiver() as receiver:
        manager = Alertmanager(receiver.url, wall=clock, pause=clock.pause)
        async with running(manager):
            await clock.waited()
            manager.tell(FIRING)
            clock.go()
            await clock.waited()
            manager.tell(moved)
            clock.go(60)
            await clock.waited()
            manager.tell(
                msgspec.structs.replace(RESOLVED, period="2022Q4")
            )  # whatever it says: the one that fires ends
            clock.go(1)
            await clock.waited()
    said = [{labels(a)["period"]: a["endsAt"] > "2023-11-14T22:15" for a in sent} for sent in receiver.bodies]
    assert said == [{"2022Q2": True}, {"2022Q2": False, "2022Q3": True}, {"2022Q3": False}]


async def test_a_server_that_is_away_is_waited_for_and_said_once() -> None:
    clock = Clock()
    async with Receiver() as receiver:
        receiver.answers.extend([503, 0, 302])
        manager = Alertmanager(
            receiver.url.replace("//", "//me:hidden@"), wall=clock, pause=clock.pause, draw=lambda: 1.0
        )
        manager.tell(FIRING)
        with structlog.testing.capture_logs() as said:
            async with running(manager):
                for expected in ((False, 1.0), (False, 2.0), (False, 4.0), (True, EVERY_S)):
                    assert await clock.waited() == expected
                    clock.go()
    assert manager.counts == {"sent": 1, "failed": 3}
    assert [line["event"] for line in said] == ["notification failed", "answers again"]
    assert "hidden" not in repr(said) + repr(manager)
    assert receiver.calls[0][0]["Authorization"].startswith("Basic ")


async def test_one_that_is_refused_does_not_hold_up_the_others() -> None:
    clock = Clock()
    bad = msgspec.structs.replace(FIRING, entity="bad")
    async with Receiver() as receiver:
        manager = Alertmanager(receiver.url, wall=clock, pause=clock.pause)
        for entity in ("1", "2"):
            manager.tell(msgspec.structs.replace(FIRING, entity=entity))
        manager.tell(bad)
        receiver.answers.extend([400, 200, 400, 200, 400])  # all; "1"; "2" and bad; "2"; bad
        async with running(manager):
            await clock.waited()
            clock.go(EVERY_S)
            await clock.waited()
    assert [[labels(a)["entity"] for a in sent] for sent in receiver.bodies] == [
        ["1", "2", "bad"], ["1"], ["2", "bad"], ["2"], ["bad"], ["1", "2"],
    ]  # fmt: skip
    assert manager.counts["dropped"] == 1


async def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_out, "MAX_HELD", 4)
    monkeypatch.setattr(alert_webhook, "MAX_QUEUE", 3)
    manager, hook = Alertmanager("http://127.0.0.1:1"), Webhook("http://127.0.0.1:1")
    with structlog.testing.capture_logs() as said:
        for number in range(10):
            for output in (manager, hook):
                output.tell(msgspec.structs.replace(FIRING, entity=str(number)))
    assert manager.counts["dropped"] >= 6
    assert hook.counts["dropped"] == 7
    assert len([line for line in said if line["event"] == "notice dropped"]) == 2


async def test_the_webhook_is_signed_retried_and_in_order() -> None:
    clock = Clock()
    async with Receiver() as receiver:
        receiver.answers.extend([500, 429])
        hook = Webhook(receiver.url + "/hook", "the secret", clock=clock, pause=clock.pause, draw=lambda: 1.0)
        hook.tell(msgspec.structs.replace(FIRING, entity="known"), known=True)
        hook.tell(FIRING)
        hook.tell(FIRING)  # the same news
        hook.tell(RESOLVED)
        async with running(hook):
            assert [await _next(clock) for _ in range(3)] == [(False, 1.0), (False, 2.0), (True, 60.0)]
    assert [body["state"] for body in receiver.bodies] == ["firing", "firing", "firing", "resolved"]
    assert receiver.bodies[0] == receiver.bodies[2] == {
        "schema": 1, "id": "dti-2023/sharp-drop/province:330000//7/firing", **msgspec.to_builtins(FIRING),
    }  # fmt: skip
    for headers, body in receiver.calls:
        assert headers[SIGNATURE] == signature(b"the secret", body)
        assert headers["Content-Type"] == "application/json"
    assert hook.counts == {"sent": 2, "failed": 2}


async def _next(clock: Clock) -> tuple[bool, float]:
    waited = await clock.waited()
    clock.go()
    return waited


def test_the_signature_is_the_known_one() -> None:
    # RFC 4231, test case 2
    assert signature(b"Jefe", b"what do ya want for nothing?") == (
        "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


async def test_a_webhook_that_refuses_or_stays_away_is_given_up() -> None:
    clock = Clock()
    async with Receiver() as receiver:
        receiver.answers.extend([422, *[500] * TRIES])
        hook = Webhook(receiver.url, clock=clock, pause=clock.pause)
        for number in range(3):
            hook.tell(msgspec.structs.replace(FIRING, revision=number))
        async with running(hook):
            waits = [await _next(clock) for _ in range(TRIES)]
    assert waits[-1] == (True, 60.0)
    assert max(seconds for _, seconds in waits[:-1]) <= LAST_S
    assert [body["revision"] for body in receiver.bodies] == [0, *[1] * TRIES, 2]
    assert hook.counts == {"failed": 1 + TRIES, "sent": 1, "dropped": 2}
    assert SIGNATURE not in receiver.calls[0][0]


def test_backoff_is_bounded_and_spread() -> None:
    assert [backoff_s(n, 0.0) for n in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert backoff_s(1000, 0.999) <= LAST_S
    assert backoff_s(1000, 0.0) == LAST_S / 2


def test_settings_name_the_outputs_and_hide_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWATCH_ALERTMANAGER", "http://127.0.0.1:9093, http://me:hidden@127.0.0.1:9094/am")
    monkeypatch.setenv("TIDEWATCH_WEBHOOK", "https://127.0.0.1/hidden")
    monkeypatch.setenv("TIDEWATCH_WEBHOOK_SECRET", "hidden")
    settings = Settings()
    outputs = outputs_of(settings)
    assert [output.name for output in outputs] == ["alertmanager", "alertmanager", "webhook"]
    assert "hidden" not in repr(settings) + repr(outputs[:2]) + json.dumps(
        settings.model_dump(include={"webhook_secret"}, mode="json")
    )
    assert outputs_of(settings.model_copy(update={"alertmanager": "", "webhook": ""})) == []
    with pytest.raises(ValueError, match="TIDEWATCH_WEBHOOK"):
        outputs_of(settings.model_copy(update={"webhook": "ftp://127.0.0.1"}))


def test_a_message_of_the_topic_becomes_a_notice() -> None:
    message = AlertMessage(
        system="dti-2023", rule="indicator-drop", type="drop", severity="page", title="one indicator drops",
        entity="province:330000", node="dti.payment", period="2022Q2", state="firing", value=-0.31, bound=-0.13,
        since=1_650_000_000_000_000, at=1_650_086_400_000_000, revision=7, held_by="", cause={"cities": ["330100"]},
        links={"runbook": "runbook", "dashboard": "board"},
    )  # fmt: skip
    notice = notice_of(message, "province", 1_700_000_000.0)
    assert (notice.state, notice.runbook, notice.dashboard, notice.cause) == (
        "firing", "runbook", "board", {"cities": ["330100"]},
    )  # fmt: skip
    assert notice.summary == "one indicator drops: province:330000, dti.payment -31.0%"
    assert "since 2022-04-15T05:20:00+00:00, noticed at 2022-04-16T05:20:00+00:00; revision 7" in notice.description
    ended = notice_of(message, "province", 1_700_000_000.0, 1_700_000_100.0)
    assert (ended.state, ended.labels) == ("resolved", notice.labels)
    assert notice_of(msgspec.structs.replace(message, type="rank", value=4.0), "city", 0.0).summary.endswith("4 places")
