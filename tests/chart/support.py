"""Rendering the chart with the real helm, and looking at what comes out."""

import functools
import json
import shlex
import subprocess
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "chart"
HELMS = ["helm3", "helm4"]
OLDEST, NEWEST = "1.25.0", "1.37.0"
NAMESPACE = "evals"
PREFIX = "app.kubernetes.io/"


def helm(name, *arguments, **options):
    """Runs one of the helms; its environment is its own, whatever this machine has configured."""
    program = ROOT / "target/chart/bin" / name
    home = ROOT / "target/chart/home"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), **options.pop("environment", {})}
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=60, env=environment, **options
    )


def with_values(values, run):
    """Calls `run` with the path of a file that holds the values."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values, file)
        file.flush()
        return run(file.name)


def template(values, helm_name="helm4", kube=NEWEST, release="r", extra=(), **options):
    """`helm template` of the values."""
    flags = ["--namespace", NAMESPACE, "--kube-version", kube, *extra]
    return with_values(
        values, lambda path: helm(helm_name, "template", release, str(CHART), "-f", path, *flags, **options)
    )


def render(values, *arguments, **options):
    """The objects that come out; as YAML 1.2 has them, so that `on` is no boolean."""
    return _render(json.dumps(values), *arguments, **options)


@functools.cache
def _render(values, *arguments, **options):
    done = template(json.loads(values), *arguments, **options)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def refusal(values, helm_name="helm4"):
    """What helm says when it refuses the values."""
    done = template(values, helm_name)
    assert done.returncode != 0, f"{values} are not refused"
    return done.stderr


def notes(address, values, helm_name="helm4", release="r"):
    """What `helm install` prints in the end; it asks a cluster."""
    flags = ["--dry-run=server", "--disable-openapi-validation", "--kube-apiserver", address, "--namespace", NAMESPACE]
    install = ["install", release, str(CHART), *flags]
    done = with_values(values, lambda path: helm(helm_name, *install, "-f", path))
    assert done.returncode == 0, done.stderr
    return done.stdout.split("NOTES:\n")[1]


def first_run(notes):
    """The command in the notes that submits a first run, its words, and what it submits."""
    command = notes[notes.index("  curl -sS") : notes.index("Its `verdict`")]
    words = shlex.split(command)
    return command, words, json.loads(words[words.index("-d") + 1])


def of_kind(objects, *kinds):
    return [it for it in objects if it["kind"] in kinds]


def one(objects, kind, suffix=""):
    """The only object of a kind whose name ends so."""
    found = [it for it in of_kind(objects, kind) if it["metadata"]["name"].endswith(suffix)]
    assert len(found) == 1, f"{len(found)} objects {kind} …{suffix}"
    return found[0]


def pods(objects):
    """(kind, name, labels, spec) of everything that becomes pods."""
    for it in objects:
        name = it["metadata"]["name"]
        if it["kind"] == "Pod":
            yield it["kind"], name, it["metadata"]["labels"], it["spec"]
        elif it["kind"] in ("Deployment", "Job"):
            template = it["spec"]["template"]
            yield it["kind"], name, template["metadata"]["labels"], template["spec"]


def pod(objects, component):
    """The pod of one component."""
    found = [spec for _, _, labels, spec in pods(objects) if labels[PREFIX + "component"] == component]
    assert len(found) == 1, f"{len(found)} pods of {component}"
    return found[0]


def environment(spec):
    """Name to value, or to what it comes from (Secret and key), of a pod's only container."""
    [container] = spec["containers"]
    variables = {}
    for entry in container.get("env", []):
        assert entry["name"] not in variables, f"{entry['name']} is set twice"
        if "valueFrom" in entry:
            [(kind, source)] = entry["valueFrom"].items()
            variables[entry["name"]] = (source["name"], source["key"]) if kind == "secretKeyRef" else source
        else:
            assert isinstance(entry["value"], str), entry
            variables[entry["name"]] = entry["value"]
    return variables
