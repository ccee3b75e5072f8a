#!/usr/bin/env bash
# Set-up, format, lint, types, tests. Arguments go to pytest: ./test.sh -k archive
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
./setup.sh
bin=.venv/bin

echo "test: ruff format"
"$bin/ruff" format --check
echo "test: ruff check"
"$bin/ruff" check
echo "test: mypy"
"$bin/mypy"
echo "test: pytest"
exec "$bin/python" -m pytest "$@"
