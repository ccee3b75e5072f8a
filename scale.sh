#!/usr/bin/env bash
# The second home, on Ray: ./scale.sh [--port P] [--address auto] [NAME ...] serves models on the routes of ./serve.sh;
# ./scale.sh bulk SOURCE OUT explains stored videos. ./scale.sh --help and ./scale.sh bulk --help list the rest. Runs in
# the foreground; Ctrl-C or SIGTERM answers what is in flight, then stops.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
"$here/setup.sh" --ray
exec "$here/.venv/bin/python" -m scale "$@"
