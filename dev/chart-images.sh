#!/usr/bin/env bash
# Builds the images for running the rendered chart, from this machine and Debian's packages. Needs root.
#
#   dev/chart-images.sh BINARY     makes localhost/agentevals-chart:test from a build of agentevals, and
#                                  localhost/agentevals-chart-base:test, which stands in for PostgreSQL's and busybox's
set -euo pipefail
cd "$(dirname "$0")/.."

binary=${1:?name a build of agentevals}
home=$PWD/target/chart
base=localhost/agentevals-chart-base:test

# Only the program and its libraries, like the last stage of the Containerfile.
program() {
  local root=$home/program
  rm -rf "$root"
  mkdir -p "$root/usr/local/bin"
  install -m 755 "$binary" "$root/usr/local/bin/agentevals"
  ldd "$binary" | grep -o '/[^ ]*' | xargs -I{} cp -L --parents {} "$root"
  tar -C "$root" -c . | podman import --change 'ENTRYPOINT ["/usr/local/bin/agentevals"]' \
    --change 'USER 65532:65532' - localhost/agentevals-chart:test >/dev/null
  rm -rf "$root"
}

# Debian with PostgreSQL and busybox, with the user and the stop signal of docker.io/library/postgres.
stand_in() {
  local root=$home/base version=1 marker=$home/base.version
  version=$(sha256sum tests/chart/postgres.sh "$0" | sha256sum)
  if [ "$(cat "$marker" 2>/dev/null)" = "$version" ] && podman image exists "$base"; then return; fi
  rm -rf "$root"
  debootstrap --variant=minbase --include=postgresql,busybox bookworm "$root" >"$home/debootstrap.log"
  sed -i 's/^postgres:x:[0-9]*:[0-9]*:/postgres:x:999:999:/' "$root/etc/passwd"
  sed -i 's/^postgres:x:[0-9]*:/postgres:x:999:/' "$root/etc/group"
  chroot "$root" sh -c 'ln -sf /usr/lib/postgresql/*/bin/pg_isready /usr/bin/ && ln -s /bin/busybox /usr/local/bin/wget'
  install -m 755 tests/chart/postgres.sh "$root/usr/local/bin/"
  tar -C "$root" --exclude=./var/cache --exclude=./var/lib/apt -c . |
    podman import --change 'ENTRYPOINT ["/usr/local/bin/postgres.sh"]' \
      --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' --change 'STOPSIGNAL SIGINT' - "$base" >/dev/null
  rm -rf "$root"
  echo "$version" >"$marker"
}

mkdir -p "$home"
program
stand_in
