"""Exit code 0 while the worker of this container is alive: asks /healthz on its own port (`TIDEWATCH_HTTP_PORT`)."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

TIMEOUT_S = 4.0  # below the health check's own, so that what went wrong is said


def main() -> int:
    """0: alive; 1: it says that it has failed, or does not answer. Prints which."""
    url = f"http://127.0.0.1:{os.environ['TIDEWATCH_HTTP_PORT']}/healthz"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            print(answer.read().decode())
            return 0
    except urllib.error.HTTPError as refusal:
        print(refusal.read().decode())
    except OSError as error:
        print(f"{url}: {error}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
