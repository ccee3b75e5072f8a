#!/usr/bin/env bash
# Makes .venv: the pinned requirements, and this project's distributions in editable mode. Needs bash, git and Python
# 3.11 or newer; Java comes with the requirements. Safe to call again and again: a call with nothing to do takes no
# time, and of two at once the second waits. ./setup.sh installs what serving needs, ./setup.sh --ray what ./scale.sh
# needs on top, and ./setup.sh --dev what ./test.sh needs on top of that. A .venv that is a link belongs to another checkout, and is used as it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

requirements=requirements.txt
case "${1:-}" in
  "") ;;
  --ray) requirements=requirements-ray.txt ;;
  --dev) requirements=requirements-dev.txt ;;
  -h | --help)
    echo "usage: ./setup.sh [--ray | --dev]    (PYTHON=/path/to/python chooses the interpreter)"
    echo "  --ray   what ./scale.sh needs, too: Ray, the second home"
    echo "  --dev   what ./test.sh needs, too: linters, test tools, the explainers that benchmarks compare with"
    exit 0
    ;;
  *)
    echo "setup: unknown argument '$1', see ./setup.sh --help" >&2
    exit 2
    ;;
esac

# What must never happen: pip at work in the Python of the user.
export PIP_REQUIRE_VIRTUALENV=1 PIP_DISABLE_PIP_VERSION_CHECK=1

python=.venv/bin/python
underway=.venv/.underway # there while packages are being installed: a .venv that still has it is not to be trusted
stamp=.venv/.complete    # what the finished .venv was made from: a line for serving, one more for Ray, one more for tests
distributions=() projects=() names=(staa-serve staa-video staa-client)
[[ $requirements == requirements.txt ]] || names+=(staa-scale) # needs Ray
for folder in . video client scale; do
  [[ -f $folder/pyproject.toml ]] || continue
  projects+=("$folder/pyproject.toml")
  [[ $folder == scale && $requirements == requirements.txt ]] || distributions+=(-e "$folder")
done

# A .venv cannot be moved, so the folder is part of what it was made from.
made_from() { echo "$(cat "$@" "${projects[@]}" setup.sh | cksum) $PWD"; }
stamps=("serving $(made_from requirements.txt)")
[[ $requirements == requirements.txt ]] || stamps+=("ray $(made_from requirements.txt requirements-ray.txt)")
[[ $requirements != requirements-dev.txt ]] || stamps+=("tests $(made_from requirements{,-ray,-dev}.txt)")
wanted="${stamps[${#stamps[@]} - 1]}"

finished() { # is there nothing to do?
  if [[ ! -L .venv ]]; then
    [[ ! -e $underway ]] && grep -qxF "$wanted" "$stamp" 2>/dev/null || return 1
  fi
  # `pip install ./client` into .venv puts a copy in the place of this folder's client: that is no finished .venv
  "$python" -c '
import importlib.metadata, json, sys
texts = [importlib.metadata.distribution(name).read_text("direct_url.json") for name in sys.argv[1:]]
sys.exit(not all(json.loads(text or "{}").get("dir_info", {}).get("editable") for text in texts))
' "${names[@]}" 2>/dev/null
}

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

finished && exit 0
base="$(find_python)"

# macOS has no flock command, so Python takes the lock; bash and pip keep the file open, and with it the lock.
exec 9>.setup.lock
"$base" -c '
import fcntl
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("setup: waiting for another ./setup.sh in this folder", flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)
'
finished && exit 0

if [[ -e $underway ]] || ! "$python" -m pip --version >/dev/null 2>&1; then
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
echo "setup: installing $requirements (the first time this fetches PyTorch, which is large)"
# --no-compile: most modules are never imported, and Python compiles those that are
if ! "$python" -m pip install --no-compile ${quiet[@]+"${quiet[@]}"} -r "$requirements"; then
  echo "setup: pip could not install the requirements, see above. Is the network there? Then call ./setup.sh again." >&2
  exit 1
fi
echo "setup: installing this project's distributions in editable mode"
"$python" -m pip install --quiet --no-deps --no-build-isolation "${distributions[@]}"
printf '%s\n' "${stamps[@]}" >"$stamp"
rm -f "$underway"
echo "setup: done"
