"""Texts for people: URLs without user and password, wherever in the URL they stand."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_USER = re.compile(r"(?<=://)\S*(?=@)")
_QUERY = re.compile(r"([?&][a-z_.-]*(?:password|passwd|secret|token|key)[a-z_.-]*=)[^&\s'\"]+", re.IGNORECASE)


# Control characters, of both sets; of Unicode those that change the direction of what stands around them.
_CONTROL = {n: f"\\x{n:02x}" for n in (*range(0x20), *range(0x7F, 0xA0)) if n not in (0x09, 0x0A)}
_CONTROL |= {n: f"\\u{n:04x}" for n in (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def printable(text: str) -> str:
    """`text` without anything that a terminal would obey: escape sequences of an event are shown, not done."""
    return text.translate(_CONTROL)


def origin(url: str) -> str:
    """Scheme, host and port of `url`, and `/***` for what stands behind: in a webhook's address that is a secret."""
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return f"{where}/***" if parts.path.strip("/") or parts.query else where


def masked(text: str) -> str:
    """`text` with `***` for the user and password of every URL in it, and for what its query calls a secret."""
    return _QUERY.sub(r"\1***", _USER.sub("***", text))
