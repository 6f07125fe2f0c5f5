"""The chart as it is handed out: lint, package, notes, documentation, and what it has in common with the program."""

import json
import re
import shlex
import tarfile

import pytest
import yaml

import values_table
from cluster import cluster
from combinations import COMBINATIONS, SECRET, TOKEN, bundled, external
from support import CHART, HELMS, NEWEST, ROOT, environment, first_run, helm, notes, pods, render, with_values


@pytest.mark.parametrize("helm_name", HELMS)
def test_lint_has_nothing_to_say(helm_name):
    for name, values in COMBINATIONS.items():
        flags = ["--strict", "--quiet", "--kube-version", NEWEST]
        done = with_values(values, lambda path: helm(helm_name, "lint", str(CHART), *flags, "-f", path))
        assert (done.returncode, done.stdout) == (0, ""), f"{name}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("helm_name", HELMS)
def test_the_package_holds_the_chart_and_nothing_else(helm_name, tmp_path):
    done = helm(helm_name, "package", str(CHART), "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    [archive] = tmp_path.iterdir()
    with tarfile.open(archive) as opened:
        packed = {name.removeprefix("agentevals/") for name in opened.getnames()}
    of_it = {"Chart.yaml", "values.yaml", "values.schema.json", "README.md", ".helmignore"}
    assert of_it <= packed
    assert all(name.startswith("templates/") for name in packed - of_it)
    made = with_values(external(), lambda path: helm(helm_name, "template", "r", str(archive), "-f", path))
    assert made.returncode == 0, made.stderr


def test_its_version_is_the_program_s():
    [version] = re.findall(r'(?m)^version = "(.*)"', (ROOT / "Cargo.toml").read_text())[:1]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_the_table_of_values_is_up_to_date():
    readme = values_table.README.read_text()
    assert values_table.with_table(readme) == readme, "run `just chart-docs`"


@pytest.mark.parametrize("page", ["docs/kubernetes.md", "chart/README.md"])
def test_the_commands_that_are_documented_install_it(page):
    text = (ROOT / page).read_text().replace("\\\n", " ")
    commands = re.findall(r"(?m)^helm (install .*)$", text)
    assert commands
    for command in commands:
        arguments = ["template", *shlex.split(command)[1:]]
        done = helm("helm4", *arguments, cwd=ROOT)
        assert done.returncode == 0, f"{command}: {done.stderr}"


def leaves(values, path=()):
    """Paths of the values; what is empty or a list is one."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield ".".join((*path, key))


def test_the_table_names_every_value():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    named = {path for path, default, _ in values_table.rows((CHART / "values.yaml").read_text()) if default}
    for path in leaves(values):
        # A line such as `requests: {cpu: 100m}` holds several.
        assert any(path == name or path.startswith(name + ".") for name in named), path


def closed(schema, path=""):
    """(path, keys) of every object of the schema whose keys are listed."""
    if "properties" in schema:
        assert schema.get("additionalProperties") is False, f"{path or 'the top'} lets unknown values pass"
        yield path, set(schema["properties"])
        for key, inner in schema["properties"].items():
            yield from closed(inner, f"{path}.{key}".lstrip("."))


def test_the_schema_knows_exactly_the_values():
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    seen = 0
    for path, keys in closed(schema):
        found = values
        for key in filter(None, path.split(".")):
            found = found[key]
        assert keys - {"global"} == set(found), path or "the top"
        seen += 1
    assert seen >= 15


# What the chart leaves alone, and why.
NOT_SET = {
    "AGENTEVALS_TOKENS": "tokens are a file, which can change under a running process",
    "AGENTEVALS_ALLOWED_HOSTS": "counts only for servers that listen on loopback",
    "AGENTEVALS_EVALUATION_EVENTS": "of `agentevals run`",
    "AGENTEVALS_EVALUATION_EVENTS_EXPLANATION": "of `agentevals run`",
}


def known():
    """The variables that the program's sources read."""
    found = set()
    for path in (ROOT / "src").rglob("*.rs"):
        found |= set(re.findall(r'\b(?:env = |env::var(?:_os)?\()"(AGENTEVALS_[A-Z0-9_]+)"', path.read_text()))
        # Not by clap: files that hold what another variable may hold.
        found |= set(re.findall(r'"(AGENTEVALS_[A-Z0-9_]+_FILE)"', path.read_text()))
    return found


def test_the_variables_it_sets_are_those_the_program_knows():
    ours = set()
    for values in COMBINATIONS.values():
        for _, _, _, spec in pods(render(values)):
            ours |= {name for name in environment(spec) if name.startswith("AGENTEVALS_")}
    assert len(known()) > 20
    assert not ours & set(NOT_SET)
    assert ours == known() - set(NOT_SET)


# Whose notes differ.
NOTED = ["by url", "bundled database", "tokens in values", "open to everyone"]


@pytest.fixture(scope="module")
def address():
    with cluster() as address:
        yield address


@pytest.mark.parametrize("helm_name", HELMS)
def test_the_notes_are_commands_that_could_be_run(helm_name, address):
    for name in NOTED:
        values = COMBINATIONS[name]
        text = notes(address, values, helm_name)
        assert SECRET not in text and TOKEN[-20:] not in text, name
        _, words, submission = first_run(text)
        assert submission["spec"]["evalConfig"]["evaluators"][0]["name"] == "response_match_score"
        is_open = values.get("auth", {}).get("insecureNoAuth", False)
        assert ("authorization: Bearer $TOKEN" in words) is not is_open, name
        assert ("WARNING: everyone" in text) is is_open, name
        assert ("deletes its data" in text) is values.get("postgresql", {}).get("enabled", False), name


def test_the_notes_say_where_it_is(address):
    assert "at https://a.example.org https://b.example.org and inside" in notes(address, COMBINATIONS["ingress"])
    assert "http://r-agentevals.evals:80." in notes(address, bundled())
    assert "agentevals migrate up" in notes(address, COMBINATIONS["migrations by somebody else"])
