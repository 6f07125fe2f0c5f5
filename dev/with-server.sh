#!/usr/bin/env bash
# Runs a command against a live server: `agentevals serve` on a free port, which requires tokens. Runs are in memory, or in
# the PostgreSQL of AGENTEVALS_DATABASE_URL: dev/postgres.sh with dev/with-server.sh CMD…
#
#   dev/with-server.sh CMD…
#
# CMD gets the variables AGENTEVALS_URL, AGENTEVALS_BIN and AGENTEVALS_TOKEN, an admin token. The server stops after CMD;
# its log is target/live-server.log. AGENTEVALS_BIN names a program that is built already, SERVE_OPTIONS has more options.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
if [ -z "${AGENTEVALS_BIN:-}" ]; then
  cargo build --locked
  AGENTEVALS_BIN=$PWD/target/debug/agentevals
fi

mkdir -p target
home=$(mktemp -d)
log=$home/log
touch "$log"
server=
stop() {
  [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || true
  mv "$log" target/live-server.log
  rm -rf "$home"
}
trap stop EXIT

(umask 077 && "$AGENTEVALS_BIN" token --scope admin tests >"$home/token")
sed -n 2p "$home/token" >"$home/tokens"
storage=(AGENTEVALS_STORAGE_BACKEND=memory)
[ -z "${AGENTEVALS_DATABASE_URL:-}" ] ||
  storage=(AGENTEVALS_STORAGE_BACKEND=postgres AGENTEVALS_DATABASE_URL="$AGENTEVALS_DATABASE_URL")
read -ra options <<<"${SERVE_OPTIONS:-}"
# The sample evaluator `slow.py` sleeps, so that running runs can be cancelled.
env -i PATH="$PATH" "${storage[@]}" "$AGENTEVALS_BIN" serve --port 0 --tokens-file "$home/tokens" \
  --code-evaluators-dir samples/evaluators --log-level info "${options[@]}" >"$log" 2>&1 &
server=$!

url=
for _ in $(seq 100); do
  url=$(sed -n 's/.*serving \(http:[^,]*\),.*/\1/p' "$log" | head -1)
  [ -z "$url" ] || break
  kill -0 "$server" 2>/dev/null || { cat "$log" >&2; echo "error: the server did not start" >&2; exit 1; }
  sleep 0.1
done
[ -n "$url" ] || { cat "$log" >&2; echo "error: the server has not logged its address" >&2; exit 1; }

export AGENTEVALS_BIN
AGENTEVALS_URL=$url AGENTEVALS_TOKEN=$(sed -n 1p "$home/token") "$@"
