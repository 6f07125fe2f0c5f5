"""What holds for every supported combination of values, rendered by both major versions of helm."""

import math

import kubernetes_validate
import pytest
import yaml

from combinations import COMBINATIONS, FOREIGN, SECRET, TOKEN
from support import HELMS, NAMESPACE, NEWEST, OLDEST, PREFIX, environment, of_kind, pods, render

KUBERNETES = [OLDEST, NEWEST]


@pytest.fixture(params=COMBINATIONS, ids=lambda name: name.replace(" ", "-"))
def values(request):
    return COMBINATIONS[request.param]


@pytest.fixture(params=HELMS)
def objects(request, values):
    return render(values, request.param)


@pytest.mark.parametrize("kube", KUBERNETES)
def test_kubernetes_would_accept_them(values, kube):
    for helm in HELMS:
        for it in render(values, helm, kube):
            kubernetes_validate.validate(it, ".".join(kube.split(".")[:2]), strict=True)


def test_both_helms_render_the_same(values):
    by_name = lambda it: (it["kind"], it["metadata"].get("namespace", ""), it["metadata"]["name"])
    first, second = (sorted(render(values, helm), key=by_name) for helm in HELMS)
    assert first == second


def test_no_two_have_one_name(objects):
    names = [(it["apiVersion"], it["kind"], it["metadata"]["namespace"], it["metadata"]["name"]) for it in objects]
    assert len(names) == len(set(names)), names
    assert all(len(name) <= 63 for *_, name in names)


def test_all_are_in_the_namespace_of_the_release(objects):
    strays = [it for it in objects if it["metadata"]["namespace"] != NAMESPACE]
    assert all(it["kind"] in ("Role", "RoleBinding") for it in strays), strays


def selections(objects):
    """(what selects, labels, component it is meant for) of everything that selects pods."""
    for it in objects:
        spec, name = it.get("spec", {}), f"{it['kind']} {it['metadata']['name']}"
        component = it["metadata"]["labels"][PREFIX + "component"]
        if it["kind"] in ("Deployment", "PodDisruptionBudget"):
            yield name, spec["selector"]["matchLabels"], component
        elif it["kind"] == "Service":
            yield name, spec["selector"], component
        elif it["kind"] == "NetworkPolicy":
            yield name, spec["podSelector"]["matchLabels"], component
        if it["kind"] == "Deployment":
            for constraint in spec["template"]["spec"].get("topologySpreadConstraints", []):
                if "labelSelector" in constraint:
                    yield name + " (spread)", constraint["labelSelector"]["matchLabels"], component


def test_selectors_catch_their_own_pods_and_no_others(values, objects):
    everybody = [*pods(objects), *pods(render(values, release="r2"))]
    found = list(selections(objects))
    assert len(found) >= 2
    for name, labels, component in found:
        caught = [it for it in everybody if labels.items() <= it[2].items()]
        assert len(caught) == 1, f"{name} catches {[it[1] for it in caught]}"
        _, _, own, _ = caught[0]
        assert (own[PREFIX + "component"], own[PREFIX + "instance"]) == (component, "r"), name


def test_pods_can_do_no_more_than_they_need(values, objects):
    for kind, name, labels, spec in pods(objects):
        component = labels[PREFIX + "component"]
        context, [container] = spec["securityContext"], spec["containers"]
        assert context["runAsNonRoot"] is True, name
        if "podSecurityContext" not in values:
            assert context["runAsUser"] >= 100 and context["runAsGroup"] >= 100, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        own = container["securityContext"]
        assert own == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert spec["enableServiceLinks"] is False, name
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC", "initContainers")), name
        executes = int(environment(spec).get("AGENTEVALS_MAX_CONCURRENT_RUNS", 0)) > 0
        reads_secrets = executes and bool(values.get("credentials", {}).get("kubernetesSecrets"))
        assert spec["automountServiceAccountToken"] is reads_secrets, name
        if component != "test":
            assert container["resources"]["requests"]["cpu"] and container["resources"]["limits"]["memory"], name


def test_what_is_referred_to_exists(objects):
    """Also at the time it is needed: hooks may refer only to hooks that come before them, and to what others made."""
    own = {}
    for it in objects:
        annotations = it["metadata"].get("annotations", {})
        keys = set(it.get("data", {})) if it["kind"] == "Secret" else None
        when = int(annotations["helm.sh/hook-weight"]) if "helm.sh/hook-weight" in annotations else None
        own[it["kind"], it["metadata"]["name"]] = (keys, when)

    def check(kind, name, key, by, weight):
        foreign = FOREIGN.get(kind, {})
        if name in foreign:
            assert key is None or foreign[name] is None or key in foreign[name], f"{by}: {kind} {name} has no {key}"
            return
        assert (kind, name) in own, f"{by} refers to {kind} {name}, which nobody makes"
        keys, when = own[kind, name]
        assert key is None or key in keys, f"{by}: {kind} {name} has no {key}"
        if weight is None:
            assert when is None, f"{by} refers to the hook {kind} {name}, which goes"
        else:
            assert when is not None and when < weight, f"{by} needs {kind} {name} before it is there"

    checked = 0
    for it in objects:
        annotations = it["metadata"].get("annotations", {})
        is_migration = "pre-install" in annotations.get("helm.sh/hook", "")
        weight = int(annotations["helm.sh/hook-weight"]) if is_migration else None
        by = f"{it['kind']} {it['metadata']['name']}"
        for kind, name, key in references(it):
            check(kind, name, key, by, weight)
            checked += 1
    assert checked >= 5


def references(it):
    """(kind, name, key) of every object that one refers to."""
    kind, spec = it["kind"], it.get("spec", {})
    if kind == "HorizontalPodAutoscaler":
        yield spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"], None
    if kind == "RoleBinding":
        yield it["roleRef"]["kind"], it["roleRef"]["name"], None
        yield from (("ServiceAccount", subject["name"], None) for subject in it["subjects"])
    if kind == "Ingress":
        for rule in spec["rules"]:
            for path in rule["http"]["paths"]:
                yield "Service", path["backend"]["service"]["name"], None
        yield from (("Secret", entry["secretName"], None) for entry in spec.get("tls", []))
    for _, _, _, pod in pods([it]):
        if "serviceAccountName" in pod:
            yield "ServiceAccount", pod["serviceAccountName"], None
        yield from (("Secret", entry["name"], None) for entry in pod.get("imagePullSecrets", []))
        for volume in pod.get("volumes", []):
            if "secret" in volume:
                yield "Secret", volume["secret"]["secretName"], None
            if "configMap" in volume:
                yield "ConfigMap", volume["configMap"]["name"], None
            if "persistentVolumeClaim" in volume:
                yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], None
        for container in pod["containers"]:
            for variable in container.get("env", []):
                if "secretKeyRef" in variable.get("valueFrom", {}):
                    reference = variable["valueFrom"]["secretKeyRef"]
                    yield "Secret", reference["name"], reference["key"]


def test_ports_are_those_of_the_pods(objects):
    ports = {}
    for _, _, labels, spec in pods(objects):
        named = [port["name"] for container in spec["containers"] for port in container.get("ports", [])]
        ports[labels[PREFIX + "component"]] = set(named)
    for service in of_kind(objects, "Service"):
        component = service["spec"]["selector"][PREFIX + "component"]
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports[component]
    for policy in of_kind(objects, "NetworkPolicy"):
        component = policy["spec"]["podSelector"]["matchLabels"][PREFIX + "component"]
        for rule in policy["spec"].get("ingress", []):
            assert {port["port"] for port in rule["ports"]} <= ports[component]


def test_every_mount_has_its_volume_and_every_volume_its_mount(objects):
    for _, name, _, spec in pods(objects):
        volumes = [volume["name"] for volume in spec.get("volumes", [])]
        mounts = [mount for container in spec["containers"] for mount in container.get("volumeMounts", [])]
        assert sorted(volumes) == sorted({mount["name"] for mount in mounts}), name
        assert len(volumes) == len(set(volumes)), name
        paths = [mount["mountPath"] for mount in mounts]
        assert len(paths) == len(set(paths)), name


def test_secrets_are_only_in_secrets(objects):
    for it in objects:
        shown = yaml.safe_dump(it)
        if it["kind"] != "Secret":
            assert SECRET not in shown, f"{it['kind']} {it['metadata']['name']}"
            assert TOKEN[-20:] not in shown, f"{it['kind']} {it['metadata']['name']}"
            assert "data" not in it, "there is no ConfigMap"


def test_variables_are_plain_texts(objects):
    for _, name, _, spec in pods(objects):
        for variable, value in literals(spec).items():
            assert value not in ("<nil>", "null", "[]", "map[]"), f"{name}: {variable}"
            assert "e+" not in value and "%!" not in value, f"{name}: {variable}={value}"


def literals(spec):
    entries = [entry for container in spec["containers"] for entry in container.get("env", [])]
    names = [entry["name"] for entry in entries]
    assert len(names) == len(set(names)), names
    return {entry["name"]: entry["value"] for entry in entries if "value" in entry}


def test_a_pod_that_stops_has_the_time_it_needs(values, objects):
    for _, name, labels, spec in pods(objects):
        variables = literals(spec)
        if labels[PREFIX + "component"] not in ("api", "worker"):
            continue
        executes = int(variables["AGENTEVALS_MAX_CONCURRENT_RUNS"]) > 0
        runs = math.ceil(float(variables["AGENTEVALS_SHUTDOWN_GRACE_S"])) if executes else 0
        drain = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert spec["terminationGracePeriodSeconds"] >= max(runs, 10) + drain + 10, name


def test_a_start_may_wait_for_the_database(objects):
    for _, _, labels, spec in pods(objects):
        if labels[PREFIX + "component"] == "api":
            probe, variables = spec["containers"][0]["startupProbe"], literals(spec)
            patience = float(variables["AGENTEVALS_DB_CONNECT_TIMEOUT_S"])
            patience += float(variables["AGENTEVALS_MIGRATE_LOCK_TIMEOUT"])
            assert probe["periodSeconds"] * probe["failureThreshold"] > patience


def test_somebody_executes_runs_and_somebody_migrates(values, objects):
    slots, starts = 0, set()
    for _, _, labels, spec in pods(objects):
        if labels[PREFIX + "component"] in ("api", "worker"):
            variables = literals(spec)
            slots += int(variables["AGENTEVALS_MAX_CONCURRENT_RUNS"])
            starts.add(variables["AGENTEVALS_AUTO_MIGRATE"])
            assert variables["AGENTEVALS_STORAGE_BACKEND"] == "postgres"
    assert slots > 0
    assert len(starts) == 1
    jobs = of_kind(objects, "Job")
    by_others = values.get("migrations", {}).get("mode") == "none"
    assert (starts == {"true"}, len(jobs)) == ((False, 0) if by_others else (not jobs, len(jobs)))
    assert len(jobs) <= 1
    for job in jobs:
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["migrate", "up"]
