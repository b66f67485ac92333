"""Uninstalls what the workers do not need, so that the image is small: python slim.py requirements.in

The lock holds everything, tests and local servers too, and is installed whole, each file checked by its hash. What
stays is what the sections of requirements.in named in KEEP ask for, and what those ask for in turn. pip goes last.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distributions, requires
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name

KEEP = ("workers", "data", "gateway and dashboard")


def roots(text: str) -> list[str]:
    """The requirements of the sections in KEEP. `text`: requirements.in. Raises ValueError for an absent section."""
    held: list[str] = []
    seen: set[str] = set()
    section = ""
    for line in text.splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ").strip()
            seen.add(section)
        elif line.strip() and section in KEEP:
            held.append(line.strip())
    if missing := set(KEEP) - seen:
        raise ValueError(f"requirements.in has no section {sorted(missing)}: name those to keep in slim.py")
    return held


def closure(requirements: list[str]) -> set[str]:
    """Names of the installed packages that `requirements` need, directly or not, with the extras they ask for."""
    kept: set[tuple[str, str]] = set()
    queue = [Requirement(line) for line in requirements]
    while queue:
        wanted = queue.pop()
        for extra in ("", *wanted.extras):
            which = (canonicalize_name(wanted.name), extra)
            if which in kept:
                continue
            try:
                needs = requires(wanted.name) or []
            except PackageNotFoundError:  # not for this platform
                continue
            kept.add(which)
            for line in needs:
                need = Requirement(line)
                if need.marker is None or need.marker.evaluate({"extra": extra}):
                    queue.append(need)
    return {name for name, _ in kept}


def superfluous(text: str) -> list[str]:
    """Installed packages that nothing in KEEP needs, by name. `text`: requirements.in."""
    installed = {canonicalize_name(each.metadata["Name"]) for each in distributions()}
    return sorted(installed - closure(roots(text)) - {"pip", "tidewatch"})


def main() -> None:
    """Uninstall them, say which, and pip itself."""
    gone = superfluous(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print("not in the image:", re.sub(r"[\[\]']", "", str(gone)))
    subprocess.run([sys.executable, "-m", "pip", "uninstall", "--yes", "--quiet", *gone, "pip"], check=True)


if __name__ == "__main__":
    main()
