"""What `tidewatch doctor` finds: one look, how bad it is, and what to do."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple


class Level(StrEnum):
    """`fail`: it does not work, or loses something; `warn`: it will, or a person should know; `ok`."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    """`check`: a short fixed name; `what`: what was seen, and where; `do`: what to do, empty where nothing is."""

    level: Level
    check: str
    what: str
    do: str = ""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"level": self.level.value, "check": self.check, "what": self.what, "do": self.do}


def ok(check: str, what: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, check, what)


def warn(check: str, what: str, do: str) -> Finding:
    """A person should know."""
    return Finding(Level.WARN, check, what, do)


def fail(check: str, what: str, do: str) -> Finding:
    """It does not work, or loses something."""
    return Finding(Level.FAIL, check, what, do)
