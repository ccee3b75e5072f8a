#!/usr/bin/env bash
# Makes .venv: the pinned requirements, this project and its client in editable mode. Needs bash, git and Python 3.11
# or newer; Java comes with the requirements. Safe to call again and again: a call with nothing to do takes no time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

case "${1:-}" in
  "") ;;
  -h | --help)
    echo "usage: ./setup.sh    (PYTHON=/path/to/python chooses the interpreter)"
    exit 0
    ;;
  *)
    echo "setup: unknown argument '$1'. It takes none." >&2
    exit 2
    ;;
esac

python=.venv/bin/python
stamp=.venv/.complete    # what the finished .venv was made from
underway=.venv/.underway # there while packages are being installed: a .venv that still has it is not to be trusted

# A .venv cannot be moved, so the folder is part of what it was made from.
wanted="$(cat requirements.txt requirements-dev.txt pyproject.toml client/pyproject.toml setup.sh | cksum) $PWD"
if [[ -f $stamp && ! -e $underway && $(<"$stamp") == "$wanted" ]] && "$python" -c '' 2>/dev/null; then
  exit 0
fi

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.13 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
    if [[ $candidate == "${PYTHON:-}" ]]; then
      echo "setup: PYTHON=$PYTHON is no Python 3.11 or newer. Unset it, or name one that is." >&2
      return 1
    fi
  done
  echo "setup: Python 3.11 or newer is missing (looked for python3.11, python3.12, python3.13 and python3 on the PATH)." >&2
  echo "       Debian or Ubuntu: apt-get install python3 python3-venv    macOS: brew install python@3.12" >&2
  echo "       or name one: PYTHON=/path/to/python3.12 ./setup.sh" >&2
  return 1
}

if [[ -e $underway ]] || ! "$python" -m pip --version >/dev/null 2>&1; then
  base="$(find_python)"
  [[ -d .venv ]] && echo "setup: .venv is there but not usable; making it afresh"
  echo "setup: making .venv with $("$base" --version)"
  if ! "$base" -m venv --clear .venv; then
    echo "setup: '$base -m venv' failed, see above. On Debian or Ubuntu the module is a package of its own:" >&2
    echo "       apt-get install python3-venv" >&2
    exit 1
  fi
fi

rm -f "$stamp"
touch "$underway"
quiet=()
[[ -t 1 ]] || quiet=(--quiet)
echo "setup: installing the pinned requirements (the first time this fetches PyTorch, which is large)"
if ! "$python" -m pip install --disable-pip-version-check ${quiet[@]+"${quiet[@]}"} -r requirements-dev.txt; then
  echo "setup: pip could not install the requirements, see above. Is the network there? Then call ./setup.sh again." >&2
  exit 1
fi
echo "setup: installing this project and its client in editable mode"
"$python" -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e . -e client
echo "$wanted" >"$stamp"
rm -f "$underway"
echo "setup: done"
