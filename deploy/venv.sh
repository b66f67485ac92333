#!/bin/bash
# Makes the virtual environment named by $1 with a Python 3.11 or newer of this machine, or says what to install.
# PYTHON=/path/to/python chooses another one. An environment that works is left as it is.
set -euo pipefail
venv=${1:?folder of the virtual environment}

if "$venv/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "setup 1/3: $venv is there"
  exit 0
fi

# 3.11 and 3.12 first: for them a wheel brings a Redis along, where the machine has none.
choose() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.13 python3.14}; do
    if "$candidate" -c "import sys; sys.exit(not ((3, 11) <= sys.version_info < $1))" 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

if ! python=$(choose '(3, 13)') && ! python=$(choose '(4,)'); then
  echo "setup: no Python 3.11 or newer found (looked for ${PYTHON:-python3, python3.11 ... python3.14} on the PATH)." >&2
  echo "       Install one (Debian, Ubuntu: apt-get install python3 python3-venv), or say make setup PYTHON=/path/to/python." >&2
  exit 1
fi

echo "setup 1/3: making $venv with $python ($("$python" -c 'import platform; print(platform.python_version())'))"
rm -rf "$venv"
# Debian ships python3 without ensurepip; a venv made by it would have no pip.
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
  if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "setup 1/3: $python has no ensurepip; installing Debian's $package"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" > /dev/null
  else
    echo "setup: $python cannot make virtual environments: its ensurepip module is missing." >&2
    echo "       Install it (Debian, Ubuntu: sudo apt-get install $package) and run make setup again." >&2
    exit 1
  fi
fi
"$python" -m venv "$venv"
