#!/usr/bin/env bash
# Checks the OpenAPI document: its style, breaking changes, and whether the service conforms to it.
#
#   dev/openapi.sh lint   checks it by openapi/spectral.yaml, and against the last release
#   dev/openapi.sh fuzz   sends valid and invalid requests to a live service; options go to schemathesis
set -euo pipefail
cd "$(dirname "$0")/.."

lint() {
  dev/setup.sh node
  npm --silent --prefix clients/typescript run lint-document
  python3 -m unittest discover --buffer --start-directory dev
  dev/openapi_breaking.py
}

# dev/api_fuzz.toml has the settings.
fuzz() {
  target/venv/bin/schemathesis --config-file dev/api_fuzz.toml run openapi/agentevals.json --url "$AGENTEVALS_URL" \
    --header "Authorization: Bearer $AGENTEVALS_TOKEN" --checks all --report junit --report-dir target/api-fuzz "$@"
}

case "${1:-}" in
  lint) lint ;;
  fuzz)
    dev/setup.sh python
    shift
    # Short deadlines, so that runs and with them their streams end soon.
    export SERVE_OPTIONS="--workers 16 --run-deadline-s 5 --max-run-deadline-s 5 --max-run-attempts 1 --run-attempts-limit 1"
    exec dev/with-server.sh dev/openapi.sh fuzz-server "$@"
    ;;
  fuzz-server) shift; fuzz "$@" ;;
  *) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
