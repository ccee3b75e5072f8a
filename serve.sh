#!/usr/bin/env bash
# The one way to start: ./serve.sh [--port P] [--management-port P] [--metrics-port P] [NAME ...]; ./serve.sh --help
# lists the rest. Runs in the foreground; Ctrl-C or SIGTERM answers what is in flight, then stops. Builds the archives
# in model_store/ that are missing or older than what they are made of; an archive in another --store is taken as it is.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

# The image has neither setup.sh nor sources: its .venv and its archives were finished when it was built.
build=no
if [[ -e $here/setup.sh ]]; then
  "$here/setup.sh"
  build=yes
fi

# Which models, as staa_serve will read its arguments.
names=()
arguments=("$@")
while (($#)); do
  case "$1" in
    -h | --help | --store=*) build=no ;;
    --store) build=no && shift ;;
    --*=*) ;;
    --*) shift ;; # every other option takes a value
    *) names+=("$1") ;;
  esac
  shift || break
done
((${#names[@]})) || names=(motions)

stale() { # NAME: does its archive have to be built?
  local store="$here/model_store" source sources=("$here/handler" "$here/video/staa_video") newer
  [[ -f $store/$1.mar ]] || return 0
  for source in "$store/$1" "$store/$1.yaml"; do
    [[ -e $source ]] && sources+=("$source")
  done
  newer=$(find "${sources[@]}" -name __pycache__ -prune -o -type f -newer "$store/$1.mar" -print | head -n 1)
  [[ -n $newer ]] || return 1
  # Weights from elsewhere are not known here: then it cannot be built, and is served as its builder left it.
  ((${#sources[@]} > 2)) && return 0
  echo "serve: $1.mar is older than handler/ or video/: build it again with ./archive.sh $1 --weights WHERE" >&2
  return 1
}

if [[ $build == yes ]]; then
  for name in "${names[@]}"; do
    if stale "$name"; then
      "$here/archive.sh" "$name" &
      builder=$!
      trap 'kill "$builder" 2>/dev/null; exit 143' TERM INT HUP
      wait "$builder"
      trap - TERM INT HUP
    fi
  done
fi
PYTHONPATH="$here/deploy" exec "$here/.venv/bin/python" -m staa_serve ${arguments[@]+"${arguments[@]}"}
