#!/usr/bin/env bash
# Builds the archive of a model: ./archive.sh NAME [--weights FOLDER_OR_HUB_ID] [--output DIR]. See deploy/image/archive.py.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
"$here/setup.sh"
exec "$here/.venv/bin/python" "$here/deploy/image/archive.py" "$@"
