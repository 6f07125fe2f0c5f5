#!/usr/bin/env bash
# Runs every command of README.md, docs/ and the pages of chart/ and samples/: see dev/docs.py.
#
#   dev/docs.sh [PAGE…]
#
# AGENTEVALS_BIN names a program that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."

dev/setup.sh python curl
if [ -z "${AGENTEVALS_BIN:-}" ]; then
  cargo build --locked
  export AGENTEVALS_BIN=$PWD/target/debug/agentevals
fi
postgres=$(dev/postgres.sh bin)
PATH=$postgres:$PATH exec target/venv/bin/python dev/docs.py "$@"
