"""What would not work is refused when it is rendered, and the message says what to do instead."""

import pytest

from combinations import EXTERNAL, IMAGE, TOKEN, TOKENS, URL, bundled, external, merged
from support import HELMS, helm, refusal, with_values, CHART

CONTRADICTIONS = {
    "no database": (merged(IMAGE, TOKENS), "no database is named; set one of database.url"),
    "two databases": (
        external({"database": {"url": URL}}),
        "database.url and database.existingSecret.name name several databases; set only one",
    ),
    "a database besides the bundled one": (
        bundled({"database": {"urlFile": "/run/url"}}),
        "database.urlFile and postgresql.enabled name several databases",
    ),
    "a listening URL without its URL": (
        external({"database": {"listenUrl": URL}}),
        "database.listenUrl goes with database.url; with a Secret, name its key in database.existingSecret.listenKey",
    ),
    "a pooler before the bundled database": (
        bundled({"database": {"listenUrlFile": "/run/url"}}),
        "database.listenUrlFile is for an external database",
    ),
    "a hook for the bundled database": (
        bundled({"migrations": {"mode": "hook"}}),
        "migrations.mode=hook cannot reach the bundled database",
    ),
    "nobody has access": (merged(IMAGE, EXTERNAL), "nobody is said to have access; set auth.existingSecret.name"),
    "tokens, and none needed": (
        external({"auth": {"insecureNoAuth": True}}),
        "auth.existingSecret.name and auth.insecureNoAuth contradict each other",
    ),
    "tokens twice": (external({"auth": {"tokens": [TOKEN]}}), "auth.existingSecret.name and auth.tokens contradict"),
    "no image": (external({"image": {"repository": ""}}), "image.repository is empty; name the image"),
    "nobody executes": (
        external({"worker": {"enabled": False}}),
        "nobody would execute runs; set worker.enabled=true or api.concurrentRuns",
    ),
    "fewest more than most": (
        external({"worker": {"autoscaling": {"enabled": True, "minReplicas": 11}}}),
        "worker.autoscaling.minReplicas is more than maxReplicas",
    ),
    "a percentage of nothing": (
        external({"api": {"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": None}}}}),
        "api.autoscaling needs api.resources.requests.cpu",
    ),
    "an ingress for no host": (external({"ingress": {"enabled": True}}), "ingress.enabled needs ingress.hosts"),
    "workers are killed too early": (
        external({"worker": {"terminationGracePeriodS": 39}}),
        "worker.terminationGracePeriodS is 39, but what a pod has to finish may take 40; raise it or lower "
        "runs.shutdownGraceS",
    ),
    "the API is killed too early": (
        external({"api": {"terminationGracePeriodS": 29}}),
        "api.terminationGracePeriodS is 29, but what a pod has to finish may take 30",
    ),
    "an API that executes is killed too early": (
        external({"api": {"terminationGracePeriodS": 44, "concurrentRuns": 1}}),
        "api.terminationGracePeriodS is 44, but what a pod has to finish may take 45",
    ),
    "leases shorter than two signs of life": (
        external({"runs": {"leaseS": 10, "heartbeatS": 5.5}}),
        "runs.leaseS is less than twice runs.heartbeatS, so that a late sign of life would lose the run",
    ),
    "a variable of the chart's own": (
        external({"worker": {"extraEnv": [{"name": "AGENTEVALS_LEASE_S", "value": "1"}]}, "runs": {"leaseS": 20}}),
        "AGENTEVALS_LEASE_S is set twice",
    ),
    "a variable given twice": (
        external({"extraEnv": [{"name": "A", "value": "1"}], "api": {"extraEnv": [{"name": "A", "value": "2"}]}}),
        "A is set twice",
    ),
}

# What the schema refuses, and where.
MISTAKES = {
    "an unknown value": ({"replicas": 3}, "replicas"),
    "an unknown value inside": ({"worker": {"replica": 3}}, "replica"),
    "a text for a number": ({"api": {"replicas": "3"}}, "replicas"),
    "an unknown level": ({"logLevel": "verbose"}, "logLevel"),
    "an unknown mode": ({"migrations": {"mode": "manual"}}, "mode"),
    "a token in place of its digest": ({"auth": {"existingSecret": {"name": ""}, "tokens": ["aev_secret"]}}, "tokens"),
    "a retention without unit": ({"runs": {"retention": "30"}}, "retention"),
    "a heartbeat of less than a second": ({"runs": {"heartbeatS": 0.5}}, "heartbeatS"),
    "an origin that holds two": ({"auth": {"corsOrigins": ["https://a,https://b"]}}, "corsOrigins"),
    "a path that is relative": ({"database": {"existingSecret": {"name": ""}, "urlFile": "url"}}, "urlFile"),
    "a body of a byte": ({"api": {"maxBodyBytes": 1}}, "maxBodyBytes"),
    "a trace of a byte": ({"outbound": {"fetchMaxBytes": 1}}, "fetchMaxBytes"),
    "more slots than there may be": ({"worker": {"concurrentRuns": 10001}}, "concurrentRuns"),
    "workers without slots": ({"worker": {"concurrentRuns": 0}}, "concurrentRuns"),
    "a secret of no namespace": ({"credentials": {"kubernetesSecrets": ["a/b/c"]}}, "kubernetesSecrets"),
    "a password that no URL can hold": ({"postgresql": {"password": "a@b/c"}}, "password"),
    "a digest of another kind": ({"image": {"digest": "md5:0"}}, "digest"),
    "a port that is none": ({"api": {"port": 70000}}, "port"),
}


@pytest.mark.parametrize("helm_name", HELMS)
@pytest.mark.parametrize("values, message", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_contradictions_are_refused(values, message, helm_name):
    assert message in " ".join(refusal(values, helm_name).split())


@pytest.mark.parametrize("helm_name", HELMS)
@pytest.mark.parametrize("values, place", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_refused(values, place, helm_name):
    said = refusal(external(values), helm_name)
    assert "values don't meet the specifications of the schema" in said and place in said


@pytest.mark.parametrize("helm_name", HELMS)
def test_other_versions_of_kubernetes_are_refused(helm_name):
    flags = ["--kube-version", "1.24.0"]
    done = with_values(external(), lambda path: helm(helm_name, "template", "r", str(CHART), "-f", path, *flags))
    assert done.returncode != 0
    assert "which is incompatible with Kubernetes" in done.stderr
