# Lists the recipes.
default:
    @{{ just_executable() }} --list

# Everything that CI checks.
check:
    .ci/run

# Runs the tests, after installing what they need; arguments go to `cargo test`.
[positional-arguments]
test *arguments:
    dev/test.sh "$@"

# Runs every command of the documentation; arguments name pages.
[positional-arguments]
docs-test *pages:
    dev/docs.sh "$@"

# Formats the code and fixes what clippy can fix.
fix:
    cargo clippy --fix --allow-dirty --all-targets
    cargo fmt

# Measures load, extract and score.
bench:
    cargo bench --bench offline

# Measures the queue against bare SQL on the private PostgreSQL; arguments select parts.
[positional-arguments]
bench-queue *parts:
    dev/postgres.sh with cargo bench --bench queue -- "$@"

# Writes the sample recordings again.
samples:
    python3 samples/generate.py

# Writes the OpenAPI document again.
openapi:
    cargo run --quiet -- openapi > openapi/agentevals.json.new
    mv openapi/agentevals.json.new openapi/agentevals.json

# Lints the OpenAPI document and names what would break clients of the last release.
openapi-lint:
    dev/openapi.sh lint

# Keeps the OpenAPI document as that of a release, which later ones must not break.
openapi-release: openapi
    mkdir -p openapi/released
    cp openapi/agentevals.json "openapi/released/agentevals-$(cargo pkgid | sed 's/.*[#@]//').json"

# Sends requests made from the OpenAPI document to a live service; options go to schemathesis.
[positional-arguments]
api-fuzz *options:
    dev/openapi.sh fuzz "$@"

# Makes the TypeScript and the Python client.
clients:
    dev/clients.sh generate

# Makes the clients, checks their types, and drives a live service with them.
clients-test:
    dev/clients.sh test

# Starts a private PostgreSQL, migrates, serves with workers; Ctrl-C stops both.
[positional-arguments]
dev-pg *arguments:
    dev/postgres.sh with cargo run -- serve --storage postgres "$@"

# Starts the private PostgreSQL and prints its URL.
pg-up:
    @dev/postgres.sh up

# Stops the private PostgreSQL; the data stays.
pg-down:
    dev/postgres.sh down

# Opens psql on the private PostgreSQL.
[positional-arguments]
psql *arguments:
    @dev/postgres.sh psql "$@"

# Changes the schema of the private PostgreSQL: `just migrate up`.
[positional-arguments]
migrate *arguments:
    AGENTEVALS_DATABASE_URL="$(dev/postgres.sh url)" cargo run -- migrate "$@"

# Builds the container image `agentevals:dev`.
container:
    dev/container.sh build

# Starts the image with nothing but its rights and submits a run to it.
container-test:
    dev/container.sh test

# Installs what the tests of chart, clients and API document need; those that need something also do it themselves.
setup:
    dev/setup.sh
    dev/chart.sh tools
    dev/chart.sh machine

# Tests the Helm chart as it is rendered, and runs it where podman can; arguments go to pytest instead.
[positional-arguments]
chart-test *arguments:
    dev/chart.sh test "$@"
    test $# -gt 0 || dev/chart.sh run-if-possible

# Runs the Helm chart's pods on this machine, with this build of agentevals.
[positional-arguments]
chart-run *binary:
    dev/chart.sh run "$@"

# Writes the table of values in chart/README.md again.
chart-docs:
    dev/chart.sh docs
