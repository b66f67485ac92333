"""Texts for people: URLs without user and password, wherever in the URL they stand."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_USER = re.compile(r"(?<=://)\S*(?=@)")
_QUERY = re.compile(r"([?&][a-z_.-]*(?:password|passwd|secret|token|key)[a-z_.-]*=)[^&\s'\"]+", re.IGNORECASE)


def origin(url: str) -> str:
    """Scheme, host and port of `url`, and `/***` for what stands behind: in a webhook's address that is a secret."""
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return f"{where}/***" if parts.path.strip("/") or parts.query else where


def masked(text: str) -> str:
    """`text` with `***` for the user and password of every URL in it, and for what its query calls a secret."""
    return _QUERY.sub(r"\1***", _USER.sub("***", text))
