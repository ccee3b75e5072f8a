#!/usr/bin/env bash
# Builds the image, and runs it as it is meant to be run:
#   tests/deploy/image.sh build [TAG] [OPTION OF THE ENGINE ...]
#   tests/deploy/image.sh run [TAG] [ARGUMENT OF SERVE.SH ...]
#
# ENGINE     docker, podman, or buildah (which only builds), with options of its own if need be (default: what is there)
# RUN_FLAGS  more options for run, e.g. "--detach --name staa"
# CA         a bundle of certificates, where pip has to go through a proxy that signs for others
# PIPCONF    a pip.conf for the build; of CA it says: cert = /run/secrets/ca.crt
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
usage="usage: image.sh build [TAG] [OPTION ...] | image.sh run [TAG] [ARGUMENT ...]"
what=${1:?$usage}
tag=${2:-staa-serve}
shift $(($# < 2 ? $# : 2))

find_engine() {
  local candidate
  for candidate in docker podman buildah; do
    if "$candidate" info >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  echo "image: no engine answers (asked docker, podman and buildah). Debian or Ubuntu: apt-get install podman" >&2
  return 1
}
read -ra engine <<<"${ENGINE:-$(find_engine)}"

case $what in
  build)
    flags=(--tag "$tag")
    [[ ${engine[*]} == *docker* ]] || flags+=(--format docker) # OCI's own format has no HEALTHCHECK
    [[ -z ${CA:-} ]] || flags+=(--secret "id=ca,src=$CA")
    [[ -z ${PIPCONF:-} ]] || flags+=(--secret "id=pipconf,src=$PIPCONF")
    if revision=$(git -C "$root" rev-parse HEAD 2>/dev/null); then
      flags+=(--build-arg "REVISION=$revision")
      flags+=(--build-arg "CREATED=$(TZ=UTC git -C "$root" log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ)")
    fi
    # CONTEXT: where the engine sees this folder, if it has a file system of its own
    exec "${engine[@]}" build "${flags[@]}" "$@" "${CONTEXT:-$root}"
    ;;
  run)
    read -ra more <<<"${RUN_FLAGS:-}"
    # A --stop-timeout above --quiet and --drain together. Without --memory the heap and the model take what they like.
    exec "${engine[@]}" run --read-only --tmpfs /tmp:rw,noexec,nosuid,nodev,size=512m --cap-drop ALL \
      --security-opt no-new-privileges --memory 3g --pids-limit 512 --stop-timeout 60 \
      ${more[@]+"${more[@]}"} "$tag" "$@"
    ;;
  *)
    echo "image: unknown command '$what'. $usage" >&2
    exit 2
    ;;
esac
