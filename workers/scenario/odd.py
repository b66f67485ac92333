"""Unusual but valid ways to write an event: the same meaning in other bytes. Each must be accepted like the plain form.

They keep every reader honest: the engine's decoder, the independent one of `tidewatch verify`, and yours.
"""

from __future__ import annotations

from collections.abc import Callable

from workers.scenario.wire import Fields


def _as_local(fields: Fields) -> str:
    """A time piece of the form `"YYYY-MM-DDTHH:MM:SS` without its offset."""
    return fields.at[:20]


def _offset(fields: Fields) -> str:
    return fields.at[20:-1]


FORMS: list[Callable[[Fields], str]] = [
    lambda f: f.text()[:-1] + ',"note":{"by":["hand",1,null]},"":0}',  # unknown keys
    lambda f: f._replace(at=f'{_as_local(f)}.1234567{_offset(f)}"').text(),  # digits beyond microseconds
    lambda f: f._replace(value=_exponent(f.value)).text(),
    lambda f: f._replace(at=f.at.replace("T", "t").replace("Z", "z")).text(),
    lambda f: f._replace(at=f.at.replace("T", " ").replace("Z", "+00:00")).text(),
    lambda f: f._replace(value=f"{f.value}000").text(),
    lambda f: f._replace(industry=f.industry or "null", period="null").text(),
    lambda f: f._replace(industry=f.industry or '"all"').text(),
    lambda f: f'{{"value":"later","op":"set",{f.text()[1:]}',  # of a repeated key the last counts
    lambda f: " " + f.text().replace(",", " ,\n\t").replace(":{", ": {") + "\r\n",
    lambda f: f.text().replace('"op"', '"\\u006fp"').replace("dti.", "d\\u0074i."),  # escapes in names and values
]


def _exponent(value: str) -> str:
    """`1250.75` -> `125075E-2`: the same double, since both are read to the nearest one."""
    whole, _, part = value.partition(".")
    return f"{whole}{part}E-{len(part)}"
