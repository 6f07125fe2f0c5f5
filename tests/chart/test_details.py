"""What single values lead to."""

import base64

import pytest
import yaml

from combinations import (
    AUTOSCALING, COMBINATIONS, CREDENTIALS, EVERY_SETTING, EXTERNAL, IMAGE, PLACEMENT, RESTRICTED, SECRET, TOKEN, TOKENS,
    URL, bundled, external, merged,
)  # fmt: skip
from support import NAMESPACE, PREFIX, environment, of_kind, one, pod, pods, render


def test_settings_arrive_as_the_program_reads_them():
    """The numbers a values file holds reach helm as floats; `6.7108864e+07` is no number of bytes."""
    objects = render(COMBINATIONS["every setting"])
    runs = {
        "AGENTEVALS_STORAGE_BACKEND": "postgres",
        "AGENTEVALS_DATABASE_URL": ("database", "uri"),
        "AGENTEVALS_DATABASE_SCHEMA": "evals",
        "AGENTEVALS_DB_CONNECT_TIMEOUT_S": "30",
        "AGENTEVALS_MIGRATE_LOCK_TIMEOUT": "10",
        "AGENTEVALS_AUTO_MIGRATE": "false",
        "AGENTEVALS_LOG_LEVEL": "debug",
        "AGENTEVALS_LEASE_S": "60",
        "AGENTEVALS_HEARTBEAT_S": "7.5",
        "AGENTEVALS_WORKER_POLL_INTERVAL_S": "2",
        "AGENTEVALS_RETRY_BACKOFF_S": "4",
        "AGENTEVALS_SHUTDOWN_GRACE_S": "45.5",
        "AGENTEVALS_RETENTION": "30d",
        "AGENTEVALS_OUTBOUND_ALLOW": "10.0.0.0/8,jaeger.tracing.svc:16686",
        "AGENTEVALS_FETCH_TIMEOUT_S": "15",
        "AGENTEVALS_FETCH_MAX_BYTES": "268435456",
        "AGENTEVALS_CODE_EVALUATORS_DIR": "/etc/agentevals/evaluators",
        "AGENTEVALS_FILE_SINKS_DIR": "/var/lib/agentevals/sinks",
    }
    serve = {
        "AGENTEVALS_HOST": "::",
        "AGENTEVALS_PORT": "9000",
        "AGENTEVALS_MAX_BODY_BYTES": "134217728",
        "AGENTEVALS_MAX_CONCURRENT_EVALUATIONS": "8",
        "AGENTEVALS_TOKENS_FILE": "/etc/agentevals/tokens/list",
        "AGENTEVALS_CORS_ORIGINS": "https://a.example.org,https://b.example.org",
        "AGENTEVALS_RUN_DEADLINE_S": "600",
        "AGENTEVALS_MAX_RUN_DEADLINE_S": "7200",
        "AGENTEVALS_MAX_RUN_ATTEMPTS": "5",
        "AGENTEVALS_RUN_ATTEMPTS_LIMIT": "20",
    }
    slots = "AGENTEVALS_MAX_CONCURRENT_RUNS"
    assert environment(pod(objects, "api")) == {**runs, **serve, slots: "2"}
    assert environment(pod(objects, "worker")) == {**runs, slots: "16"}
    migration = ["AGENTEVALS_DATABASE_URL", "AGENTEVALS_DATABASE_SCHEMA", "AGENTEVALS_MIGRATE_LOCK_TIMEOUT"]
    expected = {name: runs[name] for name in migration} | {"AGENTEVALS_DB_CONNECT_TIMEOUT_S": "20"}
    assert environment(pod(objects, "migrate")) == expected


def test_what_is_not_set_is_left_to_the_program():
    variables = environment(pod(render(COMBINATIONS["external database by Secret"]), "worker"))
    assert variables == {
        "AGENTEVALS_STORAGE_BACKEND": "postgres",
        "AGENTEVALS_DATABASE_URL": ("database", "uri"),
        "AGENTEVALS_DB_CONNECT_TIMEOUT_S": "600",
        "AGENTEVALS_MIGRATE_LOCK_TIMEOUT": "60",
        "AGENTEVALS_AUTO_MIGRATE": "false",
        "AGENTEVALS_MAX_CONCURRENT_RUNS": "4",
        "AGENTEVALS_SHUTDOWN_GRACE_S": "25",
    }


DATABASES = {
    "external database by Secret": ({"AGENTEVALS_DATABASE_URL": ("database", "uri")}, None),
    "by Secret, behind a pooler": (
        {
            "AGENTEVALS_DATABASE_URL": ("database", "uri"),
            "AGENTEVALS_DATABASE_LISTEN_URL": ("database", "direct"),
        },
        None,
    ),
    "by url": ({"AGENTEVALS_DATABASE_URL": ("r-agentevals-database", "url")}, "r-agentevals-migrate"),
    "by url, behind a pooler": (
        {
            "AGENTEVALS_DATABASE_URL": ("r-agentevals-database", "url"),
            "AGENTEVALS_DATABASE_LISTEN_URL": ("r-agentevals-database", "listen-url"),
        },
        "r-agentevals-migrate",
    ),
    "by file": (
        {
            "AGENTEVALS_DATABASE_URL_FILE": "/etc/pg/url",
            "AGENTEVALS_DATABASE_LISTEN_URL_FILE": "/etc/pg/direct",
        },
        None,
    ),
}


@pytest.mark.parametrize("name", DATABASES)
def test_every_process_finds_the_database(name):
    expected, secret_of_the_job = DATABASES[name]
    objects = render(COMBINATIONS[name])
    for component in ("api", "worker", "migrate"):
        named = environment(pod(objects, component)).items()
        found = {variable: value for variable, value in named if variable.startswith("AGENTEVALS_DATABASE_")}
        if component == "migrate" and secret_of_the_job:
            wanted = {variable: (secret_of_the_job, key) for variable, (_, key) in expected.items()}
            assert found == wanted
        else:
            assert found == expected, component


def test_a_url_is_kept_in_secrets_of_which_one_is_there_before_the_install():
    objects = render(COMBINATIONS["by url, behind a pooler"])
    stored, hook = one(objects, "Secret", "-database"), one(objects, "Secret", "-migrate")
    assert stored["data"] == hook["data"]
    assert {key: base64.b64decode(value).decode() for key, value in stored["data"].items()} == {
        "url": URL,
        "listen-url": URL,
    }
    assert "helm.sh/hook" not in stored["metadata"].get("annotations", {})


def test_pods_are_replaced_when_the_url_changes():
    def checksums(url):
        objects = render(merged(IMAGE, TOKENS, {"database": {"url": url}}))
        deployments = of_kind(objects, "Deployment")
        return [it["spec"]["template"]["metadata"]["annotations"]["checksum/database"] for it in deployments]

    assert len(checksums(URL)) == 2
    assert checksums(URL) == checksums(URL)
    assert not set(checksums(URL)) & set(checksums(URL + "&a=b"))


def test_pods_are_not_replaced_when_only_the_chart_has_another_version():
    for _, _, labels, _ in pods(render(COMBINATIONS["bundled database"])):
        if labels[PREFIX + "component"] != "test":
            assert set(labels) == {PREFIX + "name", PREFIX + "instance", PREFIX + "component"}


def test_tokens_are_a_file_that_can_change():
    objects = render(COMBINATIONS["tokens in values"])
    secret = one(objects, "Secret", "-tokens")
    lines = base64.b64decode(secret["data"]["tokens"]).decode()
    assert lines == f"{TOKEN}\n{TOKEN.replace('ci', 'you', 1)}\n"
    spec = pod(objects, "api")
    assert environment(spec)["AGENTEVALS_TOKENS_FILE"] == "/etc/agentevals/tokens/tokens"
    [mount] = [it for it in spec["containers"][0]["volumeMounts"] if it["name"] == "tokens"]
    # A file mounted by subPath would stay as it was.
    assert mount == {"name": "tokens", "mountPath": "/etc/agentevals/tokens", "readOnly": True}
    assert "tokens" not in [volume["name"] for volume in pod(objects, "worker")["volumes"]]


def test_openness_has_to_be_asked_for():
    variables = environment(pod(render(COMBINATIONS["open to everyone"]), "api"))
    assert variables["AGENTEVALS_INSECURE_NO_AUTH"] == "true"
    for name, values in COMBINATIONS.items():
        if not values.get("auth", {}).get("insecureNoAuth"):
            assert "AGENTEVALS_INSECURE_NO_AUTH" not in environment(pod(render(values), "api")), name


def test_no_page_may_use_the_api_unless_it_is_named():
    variables = environment(pod(render(external()), "api"))
    assert variables["AGENTEVALS_CORS_ORIGINS"] == ""


def test_only_pods_that_execute_hold_credentials():
    for combination, holders in (("credentials", {"worker"}), ("credentials, executed by the API", {"api", "worker"})):
        objects = render(COMBINATIONS[combination])
        for component in ("api", "worker"):
            spec = pod(objects, component)
            variables = environment(spec)
            assert variables["AGENTEVALS_CREDENTIAL_ENV"] == "JAEGER_TOKEN"
            assert variables["AGENTEVALS_CREDENTIAL_DIR"] == "/etc/agentevals/credentials"
            assert variables["AGENTEVALS_CREDENTIAL_SECRETS"] == (
                f"{NAMESPACE}/tempo,observability/jaeger,observability/loki"
            )
            [volume] = [it for it in spec["volumes"] if it["name"] == "credentials"]
            if component in holders:
                assert variables["JAEGER_TOKEN"] == ("jaeger", "token")
                assert volume["secret"] == {"secretName": "credential-files"}
            else:
                assert "JAEGER_TOKEN" not in variables
                assert volume["emptyDir"] == {}
            assert spec["automountServiceAccountToken"] is (component in holders)


def test_rights_are_to_get_the_secrets_that_are_named_and_nothing_else():
    objects = render(COMBINATIONS["credentials"])
    rules = {it["metadata"]["namespace"]: it["rules"] for it in of_kind(objects, "Role")}
    get = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    assert rules == {
        NAMESPACE: [{**get, "resourceNames": ["tempo"]}],
        "observability": [{**get, "resourceNames": ["jaeger", "loki"]}],
    }
    for binding in of_kind(objects, "RoleBinding"):
        [subject] = binding["subjects"]
        assert subject == {"kind": "ServiceAccount", "name": "r-agentevals", "namespace": NAMESPACE}
        assert binding["roleRef"]["name"] == one(
            [it for it in objects if it["metadata"]["namespace"] == binding["metadata"]["namespace"]], "Role"
        )["metadata"]["name"]
    assert one(objects, "ServiceAccount")["automountServiceAccountToken"] is False


def test_there_are_no_rights_unless_secrets_are_named():
    for name, values in COMBINATIONS.items():
        if not values.get("credentials"):
            assert not of_kind(render(values), "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"), name


def test_scaled_deployments_leave_their_size_to_the_scaler():
    objects = render(external(AUTOSCALING))
    for component in ("api", "worker"):
        assert "replicas" not in one(objects, "Deployment", component)["spec"]
        scaler = one(objects, "HorizontalPodAutoscaler", component)["spec"]
        assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 9)
        assert scaler["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 75}
    for component in ("api", "worker"):
        assert one(render(external()), "Deployment", component)["spec"]["replicas"] == 2


def test_replacing_never_leaves_fewer_than_there_were():
    for component in ("api", "worker"):
        strategy = one(render(external()), "Deployment", component)["spec"]["strategy"]
        assert strategy["rollingUpdate"]["maxUnavailable"] == 0
    assert one(render(bundled()), "Deployment", "postgresql")["spec"]["strategy"] == {"type": "Recreate"}


def test_proxies_have_time_to_forget_a_pod_where_kubernetes_can_wait():
    for kube, waits in (("1.29.9", False), ("1.30.0", True)):
        container = pod(render(external(), kube=kube), "api")["containers"][0]
        assert ("lifecycle" in container) is waits, kube


def test_probes_ask_what_they_are_for():
    container = pod(render(external()), "api")["containers"][0]
    paths = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}


def test_placement_is_general_or_of_one_component():
    objects = render(external(PLACEMENT))
    api, worker = pod(objects, "api"), pod(objects, "worker")
    assert api["nodeSelector"] == {"disk": "slow", "zone": "a"}
    assert worker["nodeSelector"] == {"disk": "fast"}
    assert [it["key"] for it in worker["tolerations"]] == ["dedicated", "spot"]
    assert [it["key"] for it in api["tolerations"]] == ["dedicated"]
    assert (api["priorityClassName"], "priorityClassName" in worker) == ("high", False)
    assert [it["topologyKey"] for it in api["topologySpreadConstraints"]] == ["rack"]
    assert [it["topologyKey"] for it in worker["topologySpreadConstraints"]] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    annotations = one(objects, "Deployment", "-api")["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"all": "pods", "only": "api"}
    labels = one(objects, "Deployment", "-worker")["spec"]["template"]["metadata"]["labels"]
    assert (labels["team"], labels[PREFIX + "component"]) == ("agents", "worker")


def test_the_network_is_open_only_where_it_has_to_be():
    objects = render(bundled())
    assert one(objects, "NetworkPolicy", "-api")["spec"]["ingress"] == [{"ports": [{"port": "http"}]}]
    worker = one(objects, "NetworkPolicy", "-worker")["spec"]
    assert worker["policyTypes"] == ["Ingress"] and "ingress" not in worker
    database = one(objects, "NetworkPolicy", "-postgresql")["spec"]
    assert database["policyTypes"] == ["Ingress", "Egress"] and "egress" not in database
    [rule] = database["ingress"]
    components = [peer["podSelector"]["matchLabels"][PREFIX + "component"] for peer in rule["from"]]
    assert components == ["api", "worker"]


def test_restricted_pods_reach_what_is_listed():
    objects = render(external(RESTRICTED))
    for component in ("api", "worker", "migrate"):
        spec = one(objects, "NetworkPolicy", "-" + component)["spec"]
        ports = [[port["port"] for port in rule["ports"]] for rule in spec["egress"]]
        assert ports == [[53, 53], [6432, 5432], [443]], component
    [rule] = one(objects, "NetworkPolicy", "-api")["spec"]["ingress"]
    assert rule["from"][1:] == RESTRICTED["networkPolicy"]["ingressFrom"]


def test_the_bundled_database_is_only_reached_by_its_own_name():
    for objects in (render(bundled()), render(bundled(), release="r2")):
        secret, service = one(objects, "Secret", "-postgresql"), one(objects, "Service", "-postgresql")
        url = base64.b64decode(secret["data"]["url"]).decode()
        assert f"@{service['metadata']['name']}:{service['spec']['ports'][0]['port']}/" in url
        assert SECRET in url


def test_names_that_are_long_are_cut_the_same_everywhere():
    objects = render(COMBINATIONS["names of its own"])
    assert {it["metadata"]["name"][:50] for it in objects} == {"x" * 50}
    assert all(it["metadata"]["labels"][PREFIX + "name"] == "scores" for it in objects)


def test_a_release_may_be_named_like_the_chart():
    objects = render(external(), release="agentevals")
    assert one(objects, "Service")["metadata"]["name"] == "agentevals"


def test_null_leaves_user_ids_to_the_cluster():
    context = pod(render(COMBINATIONS["user ids of the cluster"]), "api")["securityContext"]
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(context) and context["runAsNonRoot"] is True
