#!/usr/bin/env bash
# Set-up, format, lint, types, tests. Arguments go to pytest: ./test.sh -k archive, or ./test.sh -n 0 -s for one process.
# Some tests need programs of the system. As root on Debian or Ubuntu they are installed here, without starting any
# service; elsewhere it is said what is missing. Tests that lack something are skipped, but where CI is set they fail.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
./setup.sh --dev
bin=.venv/bin
unset PYTHONDONTWRITEBYTECODE # the tests start hundreds of processes: what one has compiled the others read
PATH=$PATH:/usr/sbin # Debian's nginx, for whom is not root

missing() { # Debian's packages of what is not there
  command -v chromium >/dev/null || echo chromium # the report in a browser
  command -v nginx >/dev/null || echo nginx       # the front proxy
  [[ -e /usr/lib/nginx/modules/ngx_http_js_module.so ]] || echo libnginx-mod-http-js
  [[ -e /usr/lib/nginx/modules/ngx_stream_js_module.so ]] || echo libnginx-mod-stream libnginx-mod-stream-js
  command -v openssl >/dev/null || echo openssl     # certificates for its tests
  command -v promtool >/dev/null || echo prometheus # rules, alerts, dashboard
  command -v prometheus-blackbox-exporter >/dev/null || echo prometheus-blackbox-exporter
  command -v docker-compose >/dev/null || echo docker-compose # the schema of compose.yaml
  "$bin/python" -c 'import cv2' 2>/dev/null || echo libgl1 libglib2.0-0 # what Quantus draws with
}

packages=($(missing))
if ((${#packages[@]})) && [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
  echo "test: installing ${packages[*]}"
  policy=/usr/sbin/policy-rc.d # exit code 101: no service is started
  [[ -e $policy ]] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && trap 'rm -f $policy' EXIT; }
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${packages[@]}"; } \
    >/dev/null || true
  packages=($(missing))
fi
if ((${#packages[@]})); then
  echo "test: missing, and so are the tests that need them: ${packages[*]}" >&2
  echo "test: Debian or Ubuntu: apt-get install --no-install-recommends ${packages[*]}" >&2
  [[ -z ${CI:-} ]] || { echo "test: where CI is set nothing may be missing" >&2 && exit 1; }
fi

echo "test: ruff format"
"$bin/ruff" format --check
echo "test: ruff check"
"$bin/ruff" check
echo "test: pytest, and mypy beside it"
report=$(mktemp)
"$bin/mypy" >"$report" 2>&1 &
types=$!
# tests wait for servers half of their time: two processes a core
"$bin/python" -m pytest -n "$((2 * $(getconf _NPROCESSORS_ONLN)))" --dist loadfile --no-loadscope-reorder "$@" || failed=1
wait "$types" || { failed=1 && echo "test: mypy" >&2 && cat "$report" >&2; }
rm -f "$report"
exit "${failed:-0}"
