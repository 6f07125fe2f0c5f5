#!/usr/bin/env bash
# Generates and tests the clients that clients/README.md describes.
#
#   dev/clients.sh generate   generates both from openapi/agentevals.json
#   dev/clients.sh test       generates them, checks their types strictly, drives a live service with each, and runs the
#                             commands of clients/README.md
set -euo pipefail
cd "$(dirname "$0")/.."

typescript() { npm --silent --prefix clients/typescript run "$@"; }
export PYTHONDONTWRITEBYTECODE=1

generate() {
  dev/setup.sh node python
  typescript build # its compiler is strict
  local client=clients/python/agentevals_client
  rm -rf "$client"
  target/venv/bin/openapi-python-client generate --path openapi/agentevals.json --config clients/python/generator.yaml \
    --meta none --output-path "$client" --fail-on-warning
  touch "$client/py.typed"
}

check() {
  generate
  (cd clients/python && ../../target/venv/bin/mypy)
  dev/with-server.sh dev/clients.sh drive
}

# Needs a server: see dev/with-server.sh.
drive() {
  typescript test
  (cd clients/python && ../../target/venv/bin/python -m pytest)
  target/venv/bin/python dev/docs.py clients/README.md
}

case "${1:-}" in
  generate) generate ;;
  test) check ;;
  drive) drive ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
