# Lists the recipes.
default:
    @{{ just_executable() }} --list

# Everything that CI checks.
check:
    .ci/run

# Runs the tests; arguments select some of them.
test *arguments:
    cargo test {{ arguments }}

# Formats the code and fixes what clippy can fix.
fix:
    cargo clippy --fix --allow-dirty --all-targets
    cargo fmt

# Measures load, extract and score.
bench:
    cargo bench --bench offline

# Writes the sample recordings again.
samples:
    python3 samples/generate.py

# Writes the OpenAPI document again.
openapi:
    cargo run --quiet -- openapi > openapi/agentevals.json.new
    mv openapi/agentevals.json.new openapi/agentevals.json
