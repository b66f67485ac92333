"""Apache Kafka's jars: by Maven coordinate, through jgo, each checked against the hash that `deploy/kafka.lock` holds.

The lock lists every jar of the class path, so a start resolves nothing and asks the network for nothing that it has.
Jars are kept in a cache of the user's, shared by all checkouts. `python -m workers.local.jars` prints a new lock file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from jgo.maven import Dependency, MavenContext, PythonResolver

from workers.local.errors import FetchAgainError

LOCK_FILE = Path(__file__).parents[2] / "deploy" / "kafka.lock"

# What the lock is made from: Kafka's server, and a log backend that needs no configuration file (of its SLF4J version).
ROOTS = ("org.apache.kafka:kafka_2.13:4.1.2", "org.slf4j:slf4j-simple:1.7.36")

DOWNLOADS_AT_ONCE = 4
REQUEST_TIMEOUT_S = 30

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Jar:
    """One line of the lock: coordinate `group:artifact:version`, size in bytes, SHA-256 in hexadecimal."""

    coordinate: str
    size: int
    sha256: str


def read_lock(path: Path = LOCK_FILE) -> list[Jar]:
    """The jars of the class path, in order. Raises FetchAgainError naming the line that is not a jar's."""
    jars = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            coordinate, size, sha256 = line.split()
            group, artifact, version = coordinate.split(":")
            jars.append(Jar(f"{group}:{artifact}:{version}", int(size), sha256))
        except ValueError:
            raise FetchAgainError(
                f"{path}, line {number}: expected `group:artifact:version bytes sha256`, found {line!r}. "
                "Restore the file."
            ) from None
    return jars


def cache_folder() -> Path:
    """Where jars are kept: `tidewatch/jars` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidewatch" / "jars"


def class_path(progress: Progress, cache: Path | None = None) -> list[Path]:
    """The checked jars' paths, fetched if need be (46 jars, 45 MB, once).

    Raises FetchAgainError when one cannot be fetched, or is not the one that was locked.
    """
    cache = cache or cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    context = MavenContext(repo_cache=cache, resolver=PythonResolver(), timeout=REQUEST_TIMEOUT_S)
    jars = read_lock()
    # Two processes that start for the first time at once: the second waits and then finds all there.
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [jar for jar in jars if not _is_good(_path(context, jar), jar)]
        if missing:
            _fetch(context, missing, cache, progress)
    return [_path(context, jar) for jar in jars]


def _fetch(context: MavenContext, missing: list[Jar], cache: Path, progress: Progress) -> None:
    total = sum(jar.size for jar in missing)
    version = ROOTS[0].rpartition(":")[2]
    progress(
        f"downloading Apache Kafka {version}: {len(missing)} jars, {total / 1e6:.0f} MB, only this once "
        f"(kept in {cache})"
    )
    done, told = 0, 0.0
    with _trust_of_the_system(), ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        pending = {pool.submit(_fetch_one, context, jar): jar for jar in missing}
        try:
            for future in as_completed(pending):
                future.result()
                done += pending[future].size
                if done / total >= told + 0.2 or done == total:
                    told = done / total
                    progress(f"downloading Apache Kafka: {done / 1e6:.0f} of {total / 1e6:.0f} MB")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch_one(context: MavenContext, jar: Jar) -> None:
    path = _path(context, jar)
    path.unlink(missing_ok=True)  # half of a file, from a download that was interrupted
    try:
        _artifact(context, jar.coordinate).resolve()
    except (requests.RequestException, OSError, RuntimeError) as error:
        path.unlink(missing_ok=True)
        raise FetchAgainError(
            f"could not fetch {jar.coordinate}, a part of Apache Kafka, from Maven Central: {_reason(error)}. "
            "It needs the network this once (HTTPS_PROXY and REQUESTS_CA_BUNDLE are heeded); run the same command "
            f"again to go on where it stopped, or copy {context.repo_cache} from a machine that has it."
        ) from error
    if not _is_good(path, jar):
        found = _sha256(path)
        path.unlink()
        raise FetchAgainError(
            f"{jar.coordinate} was fetched, but is not the file that was locked: its SHA-256 is {found}, and "
            f"{LOCK_FILE} says {jar.sha256}. It was removed. "
            "Run the same command again; if it stays so, do not trust the network."
        )


def _reason(error: Exception) -> str:
    """The innermost cause, which names the trouble; the outer ones only repeat the address."""
    text = str(error)
    return text.rpartition("Caused by ")[2].rstrip(")") if "Caused by " in text else text


@contextmanager
def _trust_of_the_system() -> Iterator[None]:
    """Check certificates against the machine's own store, as pip, git and curl do, unless the user names another.

    Without it, networks with an authority of their own could install everything but Kafka.
    """
    paths = ssl.get_default_verify_paths()
    store = paths.cafile or paths.capath
    named = "REQUESTS_CA_BUNDLE" in os.environ or "CURL_CA_BUNDLE" in os.environ
    if named or store is None or (Path(store).is_dir() and not any(Path(store).iterdir())):
        yield
        return
    os.environ["REQUESTS_CA_BUNDLE"] = store
    try:
        yield
    finally:
        os.environ.pop("REQUESTS_CA_BUNDLE", None)


def _artifact(context: MavenContext, coordinate: str):  # type: ignore[no-untyped-def]  # jgo's own class is not exported
    group, artifact, version = coordinate.split(":")
    return context.project(group, artifact).at_version(version).artifact()


def _path(context: MavenContext, jar: Jar) -> Path:
    return Path(_artifact(context, jar.coordinate).cached_path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_good(path: Path, jar: Jar) -> bool:
    return path.exists() and path.stat().st_size == jar.size and _sha256(path) == jar.sha256


def _print_new_lock() -> None:
    context = MavenContext(repo_cache=cache_folder(), resolver=PythonResolver(), timeout=REQUEST_TIMEOUT_S)
    with _trust_of_the_system():
        roots, others = context.resolver.resolve([Dependency(_artifact(context, root)) for root in ROOTS])
        found = {
            f"{dep.groupId}:{dep.artifactId}:{dep.version}": Path(dep.artifact.resolve()) for dep in [*roots, *others]
        }
    print("# The class path of Apache Kafka: coordinate, bytes, SHA-256. Made by `python -m workers.local.jars`.")
    for coordinate, path in sorted(found.items()):
        print(coordinate, path.stat().st_size, _sha256(path))


if __name__ == "__main__":
    _print_new_lock()
