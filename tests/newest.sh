#!/usr/bin/env bash
# Tests this checkout with the newest transformers of PyPI, before a user meets it there; made to be run every week.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage="usage: tests/newest.sh [VERSION]
Lays the newest release of transformers, or VERSION, over .venv in an environment that is gone afterwards, and runs
tests/core and tests/serving in it. Says what moved: each test that fails, among them one that names the video
classifiers which are new there and refused here. Exits with 1 if anything moved, or nothing could be installed."
case "${1:-}" in
  -h | --help) echo "$usage" && exit 0 ;;
  -*) echo "newest: unknown argument '$1', see tests/newest.sh --help" >&2 && exit 2 ;;
esac

./setup.sh --dev
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
.venv/bin/python -m venv "$environment"
python=$environment/bin/python
packages() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
echo "import site; site.addsitedir('$(packages "$PWD/.venv/bin/python")')" >"$(packages "$python")/beneath.pth"
log=$environment/pip.log # of use only where it fails: else it says that the release is beyond the range that is allowed
"$python" -m pip install --quiet --upgrade "transformers${1:+==$1}" 2>"$log" || { cat "$log" >&2 && exit 1; }
export PYTHONPATH=$PWD/client:$PWD/video:$PWD/handler # this checkout, also where .venv is a link to another one's
version() { "$1" -c 'from importlib.metadata import version; print(version("transformers"))'; }

echo "newest: transformers $(version "$python"), where .venv has $(version .venv/bin/python)"
if "$python" -m pytest -q -n 2 --dist loadfile -p no:cacheprovider tests/core tests/serving; then
  echo "newest: nothing moved; pyproject.toml allows $(grep -o '"transformers[^"]*"' pyproject.toml)"
else
  echo "newest: the tests above that failed say what moved" >&2
  exit 1
fi
