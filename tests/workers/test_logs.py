"""Logs as whoever collects them sees them: every line one JSON object, and no password in any."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from workers.masked import masked
from workers.settings import REPOSITORY

SAYS = """
import logging, structlog
from workers.logs import configure
configure({form!r})
log = structlog.get_logger("a")
log.info("acquired", partition=3, offset=7)
log.warning("waiting", server="Redis", reason="redis://me:secret@host:6379/0 refuses")
logging.getLogger("library").warning("cannot reach %s", "redis://:secret@host")
try:
    raise ValueError("rediss://me:secret/@x@host")
except ValueError:
    log.exception("defect")
    logging.getLogger("library").exception("failed")
"""


def said(form: str) -> list[str]:
    process = subprocess.run(
        [sys.executable, "-c", SAYS.format(form=form)], cwd=REPOSITORY, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    assert process.stdout == ""
    assert "secret" not in process.stderr
    return process.stderr.splitlines()


def test_every_line_is_an_object():
    lines = [json.loads(line) for line in said("json")]
    assert [(line["event"].split(" ")[0], line["level"]) for line in lines] == [
        ("acquired", "info"), ("waiting", "warning"), ("cannot", "warning"), ("defect", "error"), ("failed", "error"),
    ]  # fmt: skip
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert (lines[0]["partition"], lines[0]["offset"]) == (3, 7)
    assert lines[1]["reason"] == "redis://***@host:6379/0 refuses"
    assert lines[2]["event"] == "cannot reach redis://***@host"
    assert all("ValueError: rediss://***@host" in line["exception"] for line in lines[3:])


def test_for_people():
    lines = said("console")
    assert "acquired" in lines[0]
    assert "partition=3" in lines[0]
    assert "library" in lines[2]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://h/0", "redis://h/0"),
        ("redis://me:pw@h/0", "redis://***@h/0"),
        ("a redis+sentinel://:p/w@d@h:1,i:2/0?master=x b", "a redis+sentinel://***@h:1,i:2/0?master=x b"),
        ("me@example: no URL", "me@example: no URL"),
    ],
)
def test_what_is_masked(text: str, shown: str):
    assert masked(text) == shown
