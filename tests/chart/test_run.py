"""The chart, really run: rendered as it is installed, its pods started with podman on this machine.

Run by `just chart-run`, as root, in a network of its own. What a cluster does besides (node.py) is not tested here:
admission, scheduling, network policies, autoscaling, helm's own waiting for hooks.
"""

import json
import os
import subprocess
import threading
import urllib.request
from pathlib import Path

import pytest

from cluster import cluster
from combinations import merged
from node import Node, Service, eventually, probe
from support import first_run, notes, one, pod, render

BINARY = os.environ["AGENTEVALS_BINARY"]
IMAGE = {"repository": "localhost/agentevals-chart", "tag": "test"}
BASE = {"repository": "localhost/agentevals-chart-base", "tag": "test"}
API, DATABASE = "127.0.1.1", "127.0.1.2"


def token():
    """A new token and the line that admits it."""
    command = [BINARY, "token", "ci", "--scope", "runs:read", "--scope", "runs:write"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    secret, line = (done.stdout + done.stderr).split("\n")[:2]
    return secret, line


TOKEN, LINE = token()
TRIAL = {
    "image": IMAGE,
    "auth": {"tokens": [LINE]},
    "postgresql": {"enabled": True, "password": "a-trial", "image": BASE},
    "tests": {"image": BASE},
}


class Release:
    """What `helm install` made, two pods of each kind as the chart has it."""

    def __init__(self, node):
        self.node = node
        self.objects = render(TRIAL, release="trial")
        node.keep(self.objects)
        service = one(self.objects, "Service", "agentevals")
        self.port = service["spec"]["ports"][0]["port"]
        node.hosts[service["metadata"]["name"]] = API
        node.hosts[one(self.objects, "Service", "-postgresql")["metadata"]["name"]] = DATABASE
        self.service = Service(API, self.port, pod(self.objects, "api")["containers"][0]["ports"][0]["containerPort"])
        self.api = {}

    def spec(self, component):
        return pod(self.objects, component)

    def start_api(self, name):
        self.api[name] = self.node.start(name, self.spec("api"))

    def await_api(self, name):
        """Ready pods are in the Service; one that is not alive in time would be killed."""
        [container] = self.spec("api")["containers"]
        patience = container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"]
        address = self.api[name]
        eventually(f"{name} lives", lambda: probe(container, "startupProbe", address), min(patience, 120))
        eventually(f"{name} is ready", lambda: probe(container, "readinessProbe", address))
        self.service.ready.append(address)

    def stop_api(self, name):
        self.service.ready.remove(self.api.pop(name))
        code = self.node.stop(name)
        self.node.remove(name)
        return code

    def ask(self, path, body=None):
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{API}:{self.port}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    node = Node(tmp_path_factory.mktemp("node"))
    yield node
    node.clear()


@pytest.fixture(scope="module")
def release(node):
    release = Release(node)
    try:
        # All at once, as helm does; the database comes last.
        for name in ("worker-0", "worker-1"):
            node.start(name, release.spec("worker"))
        for name in ("api-0", "api-1"):
            release.start_api(name)
        node.start("postgresql", release.spec("postgresql"))
        for name in ("api-0", "api-1"):
            release.await_api(name)
        yield release
    finally:
        release.service.close()
        for name in node.pods:  # shown when something failed
            print(f"---- {name}\n{node.logs(name)[-3000:]}")


@pytest.fixture(scope="module")
def notes_command():
    with cluster() as address:
        return first_run(notes(address, TRIAL, release="trial"))


@pytest.fixture(scope="module")
def run(release, notes_command):
    """What the command in the notes answers, run as a shell runs it."""
    environment = {**os.environ, "API": f"http://{API}:{release.port}", "TOKEN": TOKEN}
    command = ["bash", "-c", notes_command[0]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]


def test_the_command_in_the_notes_submits_a_run_that_passes(run):
    assert (run["status"], run["verdict"]) == ("succeeded", "passed")


def test_pods_run_as_they_were_restricted(release):
    for name, user in (("api-0", "65532"), ("worker-0", "65532"), ("postgresql", "999")):
        found = release.node.inspect(name)
        assert found["Config"]["User"].split(":")[0] == user, name
        assert found["HostConfig"]["ReadonlyRootfs"] is True, name
        assert not found["EffectiveCaps"] and not found["BoundingCaps"], name
        status = Path(f"/proc/{found['State']['Pid']}/status").read_text()
        assert "NoNewPrivs:\t1" in status and f"Uid:\t{user}\t" in status, name


def test_the_pod_of_helm_test_is_content(release):
    spec = release.spec("test")
    release.node.start("test", spec)
    code, log = release.node.finish("test"), release.node.logs("test")
    release.node.remove("test")
    assert code == 0 and "401 Unauthorized, as configured" in log, log


def test_every_pod_can_be_replaced_under_load_and_no_run_is_lost(release, notes_command):
    submitted, failures, stop = [], [], threading.Event()
    spec = notes_command[2]["spec"]

    def submit():
        while not stop.is_set():
            try:
                submitted.append(release.ask("/api/runs", {"spec": spec})["data"]["runId"])
            except Exception as error:  # whatever it is, a client saw it
                failures.append(repr(error))

    client = threading.Thread(target=submit)
    client.start()
    try:
        codes = []
        for number in (0, 1):
            release.start_api(f"api-{number + 2}")
            release.await_api(f"api-{number + 2}")
            codes.append(release.stop_api(f"api-{number}"))
            release.node.start(f"worker-{number + 2}", release.spec("worker"))
            codes.append(release.node.stop(f"worker-{number}"))
            release.node.remove(f"worker-{number}")
    finally:
        stop.set()
        client.join()
    assert not failures
    assert codes == [0, 0, 0, 0], "a pod was killed"
    assert len(submitted) >= 20

    def ended(run):
        found = release.ask(f"/api/runs/{run}")["data"]
        return found if found["status"] not in ("queued", "running") else None

    for run in submitted:
        found = eventually(f"run {run} ends", lambda: ended(run))
        assert (found["status"], found["verdict"], found["attempt"]) == ("succeeded", "passed", 1)


def test_a_new_pod_of_the_database_has_the_old_data(release, run):
    node = release.node
    assert node.stop("postgresql") == 0
    node.remove("postgresql")
    node.start("postgresql", release.spec("postgresql"))
    [container] = release.spec("api")["containers"]
    for name, address in release.api.items():
        eventually(f"{name} is ready again", lambda: probe(container, "readinessProbe", address))
    found = release.ask(f"/api/runs/{run['runId']}")["data"]
    assert found["verdict"] == "passed"


def test_another_release_migrates_by_its_hook_before_its_pods_start(release):
    """The database of the first release is the external one of this; in a schema of its own."""
    node = release.node
    host = one(release.objects, "Service", "-postgresql")["metadata"]["name"]
    url = f"postgres://agentevals:a-trial@{host}:5432/agentevals"
    values = merged(
        {"image": IMAGE, "auth": {"tokens": [LINE]}, "api": {"concurrentRuns": 1}},
        {"database": {"url": url, "schema": "second"}, "migrations": {"connectTimeoutS": 30}},
    )
    objects = render(values, release="second")
    node.keep(objects)
    for attempt in ("install", "upgrade"):
        name = f"migrate-{attempt}"
        node.start(name, pod(objects, "migrate"))
        assert node.finish(name) == 0, node.logs(name)
        node.remove(name)
    address = node.start("second-api", pod(objects, "api"))
    [container] = pod(objects, "api")["containers"]
    eventually("the second release is ready", lambda: probe(container, "readinessProbe", address))
    assert node.stop("second-api") == 0
