"""The names that the tables print, as codes of the catalogue's industries."""

from __future__ import annotations

from tests.published.play import world

# what a table prints where the catalogue has another name for the same
ALIASES = {
    "dti": {
        "金融": "金融业", "文体娱": "文化体育娱乐", "工业": "制造业", "通信": "通信业", "生活互联": "生活服务",
    },
    "dci-culture": {"视频": "长视频", "文学": "网文"},
}  # fmt: skip


def industry(printed: str, of: str) -> str:
    """The code of a printed name in an industry set. KeyError for a name that is not there."""
    codes = {entry.name: entry.code for entry in world().industries if entry.set == of}
    return codes[ALIASES.get(of, {}).get(printed, printed)]
