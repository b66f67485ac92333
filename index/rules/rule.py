"""The rules: `systems/alerts.toml`, read and checked like a definition. Unknown keys are refused: a misspelt bound must
not pass.

Bounds are fractions for growth, divergence, drop and drawdown (-0.14 is a fall of 14 %; the rule fires below `fire` and
is over above `clear`), and numbers that must be reached for rank (places), silence (days) and revision (a fraction).
Spans are written `36h`, `2d`: whole hours or days of event time.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from index.errors import DefinitionError
from index.periods import Grain

FILE = "alerts.toml"  # beside the definitions, and none itself
GROWTH, DROP, DRAWDOWN, RANK, DIVERGENCE, SILENCE, REVISION = TYPES = (
    "growth", "drop", "drawdown", "rank", "divergence", "silence", "revision",
)  # fmt: skip
SEVERITIES = ("page", "warn", "info")
FALLING = (GROWTH, DIVERGENCE, DROP, DRAWDOWN)  # fire below their bound
HOUR_US = 3_600_000_000
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_SPAN = re.compile(r"([0-9]{1,4})(h|d)")
RESERVED = ("state", "silence")  # first parts of keys of the topic `alerts`
MAX_REACH = 120  # days that are kept at most: a record of all values each
_MAX_RULES = 100  # each is a label of a metric


class Rule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rule. Times in us of event time, `span`, `lag` and `noise_days` in days; see systems/alerts.toml for each."""

    name: str
    type: str
    severity: str
    fire: float
    clear: float
    title: str = ""
    systems: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    nodes: str = "root"
    for_us: int = 0
    min_coverage: float = 0.0
    min_days: int = 0
    min_share: float = 0.0
    grain: Grain | None = None
    over: str = "growth"
    span: int = 5
    lag: int = 7
    spans: int = 3
    sigmas: float = 0.0
    noise_days: int = 28
    group: bool = True
    held_by: tuple[str, ...] = ()
    ranking: str = ""
    first: int = 0
    of: str = "entity"
    neighbours: float = 0.5
    settle_us: int = 0

    @property
    def falling(self) -> bool:
        """Whether it fires below its bound, not at or above it."""
        return self.type in FALLING

    def fires(self, value: float) -> bool:
        """Whether the condition holds."""
        return value < self.fire if self.falling else value >= self.fire

    def clears(self, value: float) -> bool:
        """Whether an alert is over."""
        return value > self.clear if self.falling else value <= self.clear


_COMMON = frozenset((
    "name", "type", "severity", "fire", "clear", "title", "systems", "kinds", "entities", "except", "for", "held_by",
))  # fmt: skip
_BASIC = frozenset(("min_coverage", "min_days", "grain", "group"))
_FALL = frozenset(("min_coverage", "min_share", "nodes", "span", "lag", "spans", "sigmas", "noise_days", "group"))
_KEYS = {
    GROWTH: _COMMON | _BASIC | {"over"},
    DIVERGENCE: _COMMON | _BASIC | {"over"},
    DROP: _COMMON | _FALL,
    DRAWDOWN: _COMMON | _FALL,
    RANK: _COMMON | {"min_days", "ranking", "first"},
    SILENCE: _COMMON | {"of", "nodes", "neighbours", "min_share"},
    REVISION: _COMMON | {"grain", "settle"},
}


def read_rules(path: str | Path, text: str | None = None) -> tuple[Rule, ...]:
    """The rules of a file (or of its `text`), in file order. DefinitionError names file, key and reason."""
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8") if text is None else text)
    except FileNotFoundError:
        raise DefinitionError(str(path), "", "there is no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DefinitionError(str(path), "", f"is not TOML: {error}") from None
    unknown = table.keys() - {"rule"}
    if unknown:
        raise DefinitionError(str(path), min(unknown), "unknown key; correct or remove it")
    given = table.get("rule", [])
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given) or len(given) > _MAX_RULES:
        raise DefinitionError(str(path), "rule", f"tables [[rule]] are needed, at most {_MAX_RULES}")
    rules: list[Rule] = []
    for number, each in enumerate(given, 1):
        key = f"rule {each['name'] if isinstance(each.get('name'), str) else number}"
        try:
            rules.append(_rule(each))
        except _Wrong as wrong:
            raise DefinitionError(str(path), f"{key}: {wrong.key}", wrong.reason) from None
        if rules[-1].name in {rule.name for rule in rules[:-1]}:
            raise DefinitionError(str(path), f"{key}: name", "is taken by a rule above; give it another")
        if unknown := set(rules[-1].held_by) - {rule.name for rule in rules[:-1]}:
            raise DefinitionError(str(path), f"{key}: held_by", f"{min(unknown)} is no rule above it")
    return tuple(rules)


class _Wrong(Exception):
    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key, self.reason = key, reason


def _rule(t: Mapping[str, Any]) -> Rule:
    name = t.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in RESERVED:
        raise _Wrong("name", f"is {name!r}; a to z, 0 to 9 and -, at most 40, and not {' or '.join(RESERVED)}")
    kind = _word(t, "type", TYPES)
    unknown = t.keys() - _KEYS[kind]
    if unknown:
        raise _Wrong(min(unknown), f"unknown key of a {kind} rule; correct or remove it")
    fire, clear = _number(t, "fire"), _number(t, "clear")
    if kind in FALLING and not -1e6 < fire < clear:
        raise _Wrong("clear", f"is {clear}; it must lie above fire ({fire}), or the alert would flap")
    if kind not in FALLING and not 0 <= clear < fire:
        raise _Wrong("clear", f"is {clear}; it must lie below fire ({fire}) and not below 0")
    if kind in (DROP, DRAWDOWN) and not -1.0 < fire < 0.0:
        raise _Wrong("fire", f"is {fire}; a fraction between -1 and 0")
    if kind == RANK and not isinstance(t.get("ranking"), str):
        raise _Wrong("ranking", "is needed: a ranking of the system by its name")
    if kind in (DROP, DRAWDOWN):
        reach = _days(t, "span", 5 if kind == DROP else 7, 28)
        reach += _days(t, "lag", 7, 28) * int(_number(t, "spans", 3 if kind == DROP else 6, 1, 12))
        if reach > MAX_REACH:
            raise _Wrong("spans", f"looks {reach} days back (span + lag * spans); at most {MAX_REACH}")
    of = _word(t, "of", ("entity", "source"), "entity")
    if "kinds" not in t and not (kind == SILENCE and of == "source") and kind != RANK:
        raise _Wrong("kinds", 'is needed, from the broadest to the narrowest, such as ["province", "city"]')
    grain = t.get("grain")
    try:
        parsed = None if grain is None else Grain.parse(str(grain))
    except ValueError as error:
        raise _Wrong("grain", str(error)) from None
    return Rule(
        name=name,
        type=kind,
        severity=_word(t, "severity", SEVERITIES),
        fire=fire,
        clear=clear,
        title=str(t.get("title", "")),
        systems=_names(t, "systems"),
        kinds=_names(t, "kinds"),
        entities=_names(t, "entities"),
        excluded=_names(t, "except"),
        nodes=_word(t, "nodes", ("root", "leaves"), "root"),
        for_us=_span(t, "for", 0),
        min_coverage=_number(t, "min_coverage", 0.0, 0.0, 1.0),
        min_days=int(_number(t, "min_days", 0, 0, 366)),
        min_share=_number(t, "min_share", 0.0, 0.0, 1.0),
        grain=parsed,
        over=_word(t, "over", ("growth", "pop", "yoy"), "growth"),
        span=_days(t, "span", 5 if kind == DROP else 7, 28),
        lag=_days(t, "lag", 7, 28),
        spans=int(_number(t, "spans", 3 if kind == DROP else 6, 1, 12)),
        sigmas=_number(t, "sigmas", 0.0, 0.0, 100.0),
        noise_days=_days(t, "noise_days", 28, 60),
        held_by=_names(t, "held_by"),
        group=_truth(t, "group", True),
        ranking=str(t.get("ranking", "")),
        first=int(_number(t, "first", 0, 0, 1e6)),
        of=of,
        neighbours=_number(t, "neighbours", 0.5, 0.0, 1.0),
        settle_us=_span(t, "settle", 7 * 24 * HOUR_US),
    )


def _word(t: Mapping[str, Any], key: str, known: tuple[str, ...], default: str | None = None) -> str:
    value = t.get(key, default)
    if value not in known:
        raise _Wrong(key, f"is {value!r}; known are {', '.join(known)}")
    return str(value)


def _number(
    t: Mapping[str, Any], key: str, default: float | None = None, low: float = -1e9, high: float = 1e9
) -> float:
    value = t.get(key, default)
    if type(value) not in (int, float) or not low <= value <= high:
        raise _Wrong(key, f"is {value!r}; a number from {low:g} to {high:g} is needed")
    return float(value)


def _truth(t: Mapping[str, Any], key: str, default: bool) -> bool:
    value = t.get(key, default)
    if not isinstance(value, bool):
        raise _Wrong(key, f"is {value!r}; write true or false")
    return value


def _names(t: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = t.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise _Wrong(key, f"is {value!r}; a list of names is needed")
    return tuple(value)


def _span(t: Mapping[str, Any], key: str, default_us: int) -> int:
    value = t.get(key)
    if value is None:
        return default_us
    match = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _Wrong(key, f"is {value!r}; hours or days of event time, such as 36h or 2d")
    return int(match[1]) * HOUR_US * (24 if match[2] == "d" else 1)


def _days(t: Mapping[str, Any], key: str, default: int, most: int) -> int:
    days, rest = divmod(_span(t, key, default * 24 * HOUR_US), 24 * HOUR_US)
    if rest or not 1 <= days <= most:
        raise _Wrong(key, f"is {t.get(key)!r}; 1d to {most}d, whole days")
    return days
