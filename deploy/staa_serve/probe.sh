#!/usr/bin/env bash
# Exit code 0 if the server says so within 2 s, else not: probe.sh ready|live [PORT]. Bash alone: 5 ms, no client to ship.
set -euo pipefail
what=${1:?probe: say ready or live}
port=${2:-8083}
# shellcheck disable=SC2016 # expanded by the inner shell
exec timeout 2 bash -c '
  exec 3<>"/dev/tcp/127.0.0.1/$2" || exit 1
  printf "GET /%s HTTP/1.0\r\n\r\n" "$1" >&3
  read -r _ status _ <&3
  [[ $status == 200 ]]
' probe "$what" "$port" 2>/dev/null
