#!/usr/bin/env bash
# The container image: `dev/container.sh build`, `dev/container.sh test`, and `dev/container.sh bases`.
#
# Works as root with buildah and podman from Debian's packages, without a daemon. ENGINE_OPTIONS adds to every run,
# BUILD_OPTIONS to the build.
set -euo pipefail
cd "$(dirname "$0")/.."

image=${IMAGE:-agentevals:dev}
port=${PORT:-18001}
read -ra engine_options <<<"${ENGINE_OPTIONS:---runtime runc --network host --ulimit nofile=1024:1024 --ulimit nproc=1024:1024}"
read -ra build_options <<<"${BUILD_OPTIONS:---isolation chroot --network host}"

# Builds the base images of the Containerfile from Debian's packages and this machine's Rust, for machines that cannot
# reach a registry of images.
bases() {
  local root=target/container-bases
  mkdir -p "$root"
  if ! podman image exists debian:bookworm-slim; then
    [ -e "$root/debian/etc/debian_version" ] || debootstrap --variant=minbase bookworm "$root/debian"
    tar -C "$root/debian" -c . | podman import - debian:bookworm-slim
  fi
  if ! podman image exists rust:1.95-slim-bookworm; then
    local rust
    rust=$(rustc --print sysroot)
    cp -a "$root/debian" "$root/rust"
    cp /etc/resolv.conf "$root/rust/etc/"
    chroot "$root/rust" apt-get update -q
    chroot "$root/rust" apt-get install -qy --no-install-recommends gcc libc6-dev ca-certificates
    mkdir -p "$root/rust/usr/local/rust"
    cp -a "$rust/bin" "$rust/lib" "$root/rust/usr/local/rust/"
    ln -sf ../rust/bin/cargo ../rust/bin/rustc "$root/rust/usr/local/bin/"
    tar -C "$root/rust" -c . | podman import - rust:1.95-slim-bookworm
    rm -r "$root/rust"
  fi
}

# Builds the image from the working tree; --pull=never, so that no registry replaces the base images.
build() {
  local revision created
  revision=$(git rev-parse HEAD) && created=$(git log -1 --format=%cI)
  buildah bud "${build_options[@]}" --pull=never --layers --format docker --tag "$image" \
    --volume /etc/ssl/certs:/etc/ssl/certs:ro \
    --build-arg REVISION="$revision" --build-arg CREATED="$created" .
}

run() { podman run "${engine_options[@]}" --read-only --cap-drop all --security-opt no-new-privileges "$@"; }

# Starts the image as a cluster would, submits a run, and stops it.
test_image() {
  local made token line name=agentevals-test began
  echo "size: $(podman image inspect --format '{{.Size}}' "$image") bytes"
  made=$(run --rm "$image" token test --scope runs:read --scope runs:write)
  token=$(grep -o 'aev_[A-Za-z0-9_-]*' <<<"$made" | head -1)
  line=$(grep -E '^test .*sha256:' <<<"$made")
  podman rm --force --ignore "$name" >/dev/null
  began=$(date +%s%N)
  run --detach --name "$name" --env AGENTEVALS_TOKENS="$line" --env AGENTEVALS_PORT="$port" "$image" >/dev/null
  trap 'podman logs agentevals-test | tail -20; podman rm --force --ignore agentevals-test >/dev/null' EXIT
  until curl --silent --fail "http://127.0.0.1:$port/readyz" >/dev/null; do
    podman container inspect --format '{{.State.Running}}' "$name" | grep -q true
    sleep 0.05
  done
  echo "ready after $((($(date +%s%N) - began) / 1000000)) ms"
  podman exec "$name" /usr/local/bin/agentevals healthcheck --ready
  [ "$(curl --silent -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/api/runs")" = 401 ]
  curl --silent --fail --header "Authorization: Bearer $token" --header 'Prefer: wait=30' --json @- \
    "http://127.0.0.1:$port/api/runs" <<<"$(submission)" | grep -o '"verdict":"passed"'
  podman stop --time 30 "$name" >/dev/null
  [ "$(podman container inspect --format '{{.State.ExitCode}}' "$name")" = 0 ]
  podman rm "$name" >/dev/null
  trap - EXIT
  echo "the image works"
}

# A submission of the sample recording and its eval set.
submission() {
  printf '{"spec":{"target":{"kind":"inline","inline":%s},"evalSet":%s}}' \
    "$(cat samples/adk-travel.json)" "$(cat samples/adk-travel.eval.json)"
}

case ${1:-} in
  bases) bases ;;
  build) build ;;
  test) test_image ;;
  *) sed -n '2,5p' "$0" >&2; exit 2 ;;
esac
