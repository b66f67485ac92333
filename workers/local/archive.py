"""Java's archive of Kafka's classes, read and linked once: with it a start takes 1.5 s of a processor instead of 3.2.

One file of 65 MB beside the jars, for one Java and one class path: its name holds both, and Java besides checks both
itself, and starts without an archive that does not fit. So it can be absent, and never wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from workers.local.jars import cache_folder


def archive_path(java: Path, jars: Sequence[Path], cache: Path | None = None) -> Path:
    """Where the archive of this Java (its program, `bin/java`) and this class path is, or would be.

    `kafka-<where Java is>-<what it and the jars are>.aot`. Errors: OSError when there is no such Java or jar.
    """
    java = java.resolve()  # environments that are links to one have one archive: Java goes by its real place too
    library = java.parents[1] / "lib" / "server" / "libjvm.so"  # not on every platform
    stats = {path: path.stat() for path in (library if library.exists() else java, *jars)}
    what = "".join(f"{path} {stat.st_size} {stat.st_mtime_ns}\n" for path, stat in stats.items())
    where, what = (hashlib.sha256(text.encode()).hexdigest()[:12] for text in (str(java), what))
    return (cache or cache_folder()) / f"kafka-{where}-{what}.aot"


def outdated(archive: Path) -> list[Path]:
    """Archives of the same place: of a Java or of jars that were exchanged since, so nobody will read them."""
    where = archive.name.rpartition("-")[0]
    return [path for path in archive.parent.glob(f"{where}-*.aot") if path != archive]


def archive_options(java: Path, jars: Sequence[Path], cache: Path | None = None) -> list[str]:
    """What tells Java to use the archive; nothing while there is none. Errors as `archive_path`."""
    archive = archive_path(java, jars, cache)
    # The log: it tells of each of a few classes that it then makes in the usual way.
    return [f"-XX:AOTCache={archive}", "-Xlog:aot*=off"] if archive.exists() else []
