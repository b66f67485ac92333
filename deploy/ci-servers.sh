#!/bin/bash
# For the gate, on a Debian machine as root: Prometheus, Alertmanager and a Redis with TLS from Debian's packages, no service of
# theirs started. Of Redis only redis-tools, which puts no redis-server on the PATH (tests/workers/secured_redis.py).
# And a C compiler, where there is none: the chaos trial puts the clocks of workers off with a library of its own.
# Where they cannot be had, the tests that need them are skipped by name and the test summary says so; that is no failure.
set -euo pipefail

if command -v promtool >/dev/null && command -v prometheus-alertmanager >/dev/null &&
    command -v redis-check-rdb >/dev/null && command -v cc >/dev/null; then
    exit 0
fi
if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "ci-servers: not root on Debian: the tests of Prometheus, Alertmanager, Redis with TLS and clocks will be skipped by name"
    exit 0
fi
# Debian asks this program before it starts a service of a new package: 101 says no.
policy=/usr/sbin/policy-rc.d
made=0
if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made=1
fi
export DEBIAN_FRONTEND=noninteractive
if timeout 60 apt-get update -q >/dev/null &&
    timeout 150 apt-get install -q -y --no-install-recommends prometheus prometheus-alertmanager redis-tools \
        gcc libc6-dev >/dev/null; then
    echo "ci-servers: $(prometheus --version 2>&1 | head -1); $(redis-cli --version)"
else
    echo "ci-servers: the packages cannot be installed: the tests of Prometheus, Alertmanager, Redis with TLS and clocks will be skipped by name"
fi
if [[ $made -eq 1 ]]; then rm -f "$policy"; fi
