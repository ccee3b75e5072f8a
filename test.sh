#!/usr/bin/env bash
# Set-up, format, lint, types, tests. Arguments go to pytest: ./test.sh -k archive
# Some tests need programs of the system. As root on Debian or Ubuntu they are installed here, without starting any
# service; elsewhere their tests are skipped, and what to install is said.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
./setup.sh
bin=.venv/bin

packages=()
command -v chromium >/dev/null || packages+=(chromium)                                # the report in a browser
{ command -v nginx || [[ -x /usr/sbin/nginx ]]; } >/dev/null || packages+=(nginx)     # the front proxy
[[ -e /usr/lib/nginx/modules/ngx_http_js_module.so ]] || packages+=(libnginx-mod-http-js)
command -v openssl >/dev/null || packages+=(openssl)                                  # certificates for its tests
command -v promtool >/dev/null || packages+=(prometheus)                              # rules, alerts, dashboard
if ((${#packages[@]})); then
  if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    echo "test: installing ${packages[*]}"
    policy=/usr/sbin/policy-rc.d # exit code 101: no service is started
    [[ -e $policy ]] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && trap 'rm -f $policy' EXIT; }
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${packages[@]}"; } \
      >/dev/null || echo "test: could not install all of them; the tests that need them are skipped" >&2
  else
    echo "test: skipping what needs: apt-get install ${packages[*]}"
  fi
fi

echo "test: ruff format"
"$bin/ruff" format --check
echo "test: ruff check"
"$bin/ruff" check
echo "test: mypy"
"$bin/mypy"
echo "test: pytest"
"$bin/python" -m pytest "$@"
