#!/usr/bin/env bash
# Installs the tools of clients, linters and fuzzers, unless they are already installed.
#
#   dev/setup.sh            everything
#   dev/setup.sh node       node and npm packages: the TypeScript client, the linter of the document
#   dev/setup.sh python     Python packages, in target/venv: the Python client, the fuzzer, the pages
#   dev/setup.sh curl       curl: the pages
#
# Missing programs are installed from Debian's packages, which needs root; everything else stays in this folder.
set -euo pipefail
cd "$(dirname "$0")/.."

apt_install() {
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"
}

# Whether the marker has the checksum of the files, so that they are installed already.
is_current() { [ -f "$1" ] && [ "$(cat "$1")" = "$(cat "${@:2}" | cksum)" ]; }
# Writes the marker; call it when the installation is complete.
mark_current() { cat "${@:2}" | cksum >"$1"; }

node() {
  type -P node >/dev/null && command -v npm >/dev/null || apt_install nodejs npm
  local home=clients/typescript
  local files=("$home/package.json" "$home/package-lock.json")
  is_current "$home/node_modules/.current" "${files[@]}" && return
  npm --prefix "$home" ci
  mark_current "$home/node_modules/.current" "${files[@]}"
}

python() {
  local venv=target/venv
  local files=(clients/python/requirements.txt openapi/requirements.txt dev/constraints.txt)
  is_current "$venv/.current" "${files[@]}" && return
  command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3 python3-venv
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install -q -r clients/python/requirements.txt -r openapi/requirements.txt -c dev/constraints.txt
  mark_current "$venv/.current" "${files[@]}"
}

curl() { type -P curl >/dev/null || apt_install curl ca-certificates; }

[ $# -gt 0 ] || set -- node python curl
for part in "$@"; do
  case "$part" in
    node | python | curl) "$part" ;;
    *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
done
