"""The library that puts the wall clock of a process off (clock.c), where there is a compiler to make it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

COMPILE_S = 60


def lacking() -> frozenset[str]:
    """What this machine does not have: the kinds that need it are left out of the plan by name."""
    return frozenset() if shutil.which("cc") else frozenset({"cc"})


def compile_clock(folder: Path) -> Path:
    """Make it in `folder`, once. Errors: subprocess.CalledProcessError, with what the compiler said."""
    made = folder / "clock.so"
    if not made.exists():
        source = Path(__file__).with_name("clock.c")
        command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(made), str(source), "-ldl"]
        subprocess.run(command, check=True, timeout=COMPILE_S, capture_output=True)
    return made
