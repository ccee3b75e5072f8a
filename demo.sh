#!/usr/bin/env bash
# From nothing to a picture of where and when the model looked: ./demo.sh [--keep] [--home torchserve|ray] [VIDEO]
set -euo pipefail
home="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

usage() {
  echo "usage: ./demo.sh [--keep] [--home torchserve|ray] [VIDEO]"
  echo "  VIDEO   your own file; without it a clip is generated whose truth is known"
  echo "  --keep  leave the server up and print requests to try"
  echo "  --home  which server: TorchServe (the default), or Ray, which is installed first"
}

keep="" video="" server_home=torchserve
while (($#)); do
  case "$1" in
    --keep) keep=yes ;;
    --home) server_home="${2:-}" && shift ;;
    --home=*) server_home="${1#--home=}" ;;
    -h | --help) usage && exit 0 ;;
    -*) echo "demo: unknown option '$1'" >&2 && usage >&2 && exit 2 ;;
    *) [[ -z $video ]] || { echo "demo: one video at a time" >&2 && exit 2; }
       video="$(realpath -- "$1")" ;;
  esac
  shift || break
done
if [[ $server_home != torchserve && $server_home != ray ]]; then
  echo "demo: --home is '$server_home': expected torchserve or ray" >&2
  exit 2
fi
if [[ -n $video && ! -f $video ]]; then
  echo "demo: there is no file $video" >&2
  exit 2
fi
if [[ -n $video && ! -s $video ]]; then
  echo "demo: there is no byte in $video: give a video" >&2
  exit 2
fi
cd "$home"
out=demo-out
written=("$out"/{clip.mp4,clip.json,server.log,overlay.png,report.html})
for file in "${written[@]}"; do
  if [[ $video == "$home/$file" ]]; then
    echo "demo: $file is written anew by each run: move your video elsewhere, or leave VIDEO out" >&2
    exit 2
  fi
done

say() { printf '[%d/5] %s\n' "$((step += 1))" "$*"; }
step=0
say "set-up: .venv with pinned requirements"
if [[ $server_home == ray ]]; then ./setup.sh --ray; else ./setup.sh; fi
python=.venv/bin/python
mkdir -p "$out"
rm -f "${written[@]}"

truth=()
"$python" -m training.movie "$out/clip.mp4" >/dev/null
if [[ -n $video ]]; then
  say "clip: $video (the default model knows generated shapes only: its labels say nothing about this)"
else
  video=$out/clip.mp4
  say "clip: $video, 10 s of 320x240, generated"
  truth=(--truth "$out/clip.json")
fi

say "server: $([[ $server_home == ray ]] && echo Ray || echo TorchServe) with the default model (log: $out/server.log)"
read -r port management metrics health < <("$python" - <<'PYTHON'
import contextlib, socket
with contextlib.ExitStack() as stack:
    sockets = [stack.enter_context(socket.socket()) for _ in range(4)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    print(*(one.getsockname()[1] for one in sockets))
PYTHON
)
log=$out/server.log
: >"$log" # it is looked at before the server has opened it
if [[ $server_home == ray ]]; then
  metrics=$port # one port has all routes
  command=(./scale.sh --port "$port")
else
  command=(./serve.sh --port "$port" --management-port "$management" --metrics-port "$metrics" --health-port "$health")
fi
setsid "${command[@]}" motions >>"$log" 2>&1 </dev/null &
server=$!
stop() {
  if kill -TERM "$server" 2>/dev/null; then
    wait "$server" || true
  fi
}
trap stop EXIT
trap 'exit 130' INT TERM HUP
began=$SECONDS
until grep -qE "(serve|scale): ready" "$log"; do
  if ! kill -0 "$server" 2>/dev/null; then
    echo "demo: the server did not start. Its last words:" >&2
    tail -n 15 "$log" >&2
    exit 1
  fi
  if ((SECONDS - began > 300)); then
    echo "demo: the server was not ready after 300 s, see $log" >&2
    exit 1
  fi
  sleep 0.2
done
echo "      ready on http://127.0.0.1:$port after $((SECONDS - began)) s"

say "asking for labels and maps"
"$python" examples/demo.py "$video" --server "http://127.0.0.1:$port" ${truth[@]+"${truth[@]}"}

say "pictures: $out/overlay.png and $out/report.html (open it in a browser, it needs no network)"
if [[ -n $keep ]]; then
  trap - EXIT
  clip="$(realpath -- "$video")"
  upload="$(printf %q "$clip")"
  form="$(printf %q "video=@\"$clip\"")"
  cat <<EOF
The server stays up. Try:
  curl -T $upload http://127.0.0.1:$port/predictions/motions
  curl -T $upload -H 'X-Staa-Maps: base64' http://127.0.0.1:$port/explanations/motions
  curl -F $form -F top_k=3 http://127.0.0.1:$port/explanations/motions
  curl http://127.0.0.1:$metrics/metrics
Stop it:
  kill $server
EOF
fi
