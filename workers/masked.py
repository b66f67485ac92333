"""Texts for people: URLs without user and password, wherever in the URL they stand."""

from __future__ import annotations

import re

_USER = re.compile(r"(?<=://)\S*(?=@)")
_QUERY = re.compile(r"([?&][a-z_.-]*(?:password|passwd|secret|token|key)[a-z_.-]*=)[^&\s'\"]+", re.IGNORECASE)


def masked(text: str) -> str:
    """`text` with `***` for the user and password of every URL in it, and for what its query calls a secret."""
    return _QUERY.sub(r"\1***", _USER.sub("***", text))
