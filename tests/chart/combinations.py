"""Combinations of values that are supported, by name; every general test is made for each of them."""

import copy

SECRET = "hunter2"  # part of everything that must stay in Secrets
URL = f"postgres://me:{SECRET}@db.example.org/evals?sslmode=verify-full"
TOKEN = "ci runs:read,runs:write sha256:" + "5ec4e7" * 10 + "abcd"

IMAGE = {"image": {"repository": "registry.example.org/agentevals"}}
TOKENS = {"auth": {"existingSecret": {"name": "tokens", "key": "list"}}}
EXTERNAL = {"database": {"existingSecret": {"name": "database", "key": "uri"}}}
BUNDLED = {"postgresql": {"enabled": True, "password": SECRET}}


def merged(*parts):
    """The parts laid over each other."""
    result = {}
    for part in parts:
        _lay(result, copy.deepcopy(part))
    return result


def _lay(below, above):
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _lay(below[key], value)
        else:
            below[key] = value


def external(*parts):
    return merged(IMAGE, TOKENS, EXTERNAL, *parts)


def bundled(*parts):
    return merged(IMAGE, TOKENS, BUNDLED, *parts)


CREDENTIALS = {
    "credentials": {
        "env": [{"name": "JAEGER_TOKEN", "secret": "jaeger", "key": "token"}],
        "directorySecret": "credential-files",
        "kubernetesSecrets": ["tempo", "observability/jaeger", "observability/loki"],
    }
}
AUTOSCALING = {
    component: {"autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 9}}
    for component in ("api", "worker")
}
RESTRICTED = {
    "networkPolicy": {
        "restrictEgress": True,
        "ingressFrom": [{"namespaceSelector": {"matchLabels": {"team": "agents"}}}],
        "databasePorts": [6432, 5432],
        "extraEgress": [{"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": 443}]}],
    }
}
TOLERATION = {"key": "dedicated", "operator": "Exists"}
PLACEMENT = {
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"disk": "fast"},
    "tolerations": [TOLERATION],
    "podAnnotations": {"all": "pods"},
    "podLabels": {"team": "agents", "app.kubernetes.io/component": "forged"},
    "api": {
        "priorityClassName": "high",
        "podAnnotations": {"only": "api"},
        "nodeSelector": {"disk": "slow", "zone": "a"},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
        ],
    },
    "worker": {"tolerations": [{"key": "spot", "operator": "Exists"}], "affinity": {"podAntiAffinity": {}}},
}
EXTRAS = {
    "extraEnv": [{"name": "PGPASSFILE", "value": "/etc/pg/pass"}],
    "extraVolumes": [{"name": "pg", "secret": {"secretName": "pgpass"}}],
    "extraVolumeMounts": [{"name": "pg", "mountPath": "/etc/pg", "readOnly": True}],
    "worker": {
        "extraEnv": [
            {"name": "PYTHONPATH", "value": "/opt/lib"},
            {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "extraVolumes": [{"name": "lib", "persistentVolumeClaim": {"claimName": "lib"}}],
        "extraVolumeMounts": [{"name": "lib", "mountPath": "/opt/lib"}],
    },
}
EVERY_SETTING = {
    "logLevel": "debug",
    "database": {"schema": "evals", "connectTimeoutS": 30},
    "migrations": {"connectTimeoutS": 20, "lockTimeoutS": 10, "backoffLimit": 3, "serviceAccountName": "dba"},
    "auth": {"corsOrigins": ["https://a.example.org", "https://b.example.org"]},
    "api": {"replicas": 5, "concurrentRuns": 2, "port": 9000, "maxBodyBytes": 134217728, "concurrentEvaluations": 8, "listenAddress": "::"},
    "worker": {"replicas": 7, "concurrentRuns": 16, "terminationGracePeriodS": 900},
    "runs": {
        "deadlineS": 600, "maxDeadlineS": 7200, "maxAttempts": 5, "attemptsLimit": 20, "leaseS": 60,
        "heartbeatS": 7.5, "pollIntervalS": 2, "retryBackoffS": 4, "shutdownGraceS": 45.5, "retention": "30d",
    },
    "outbound": {
        "allow": ["10.0.0.0/8", "jaeger.tracing.svc:16686"], "fetchTimeoutS": 15, "fetchMaxBytes": 268435456,
    },
    "codeEvaluators": {"configMap": {"name": "evaluators"}},
    "fileSinks": {"persistentVolumeClaim": {"claimName": "sinks"}},
}  # fmt: skip

COMBINATIONS = {
    "external database by Secret": external(),
    "by Secret, behind a pooler": external({"database": {"existingSecret": {"listenKey": "direct"}}}),
    "by url": merged(IMAGE, TOKENS, {"database": {"url": URL}}),
    "by url, behind a pooler": merged(IMAGE, TOKENS, {"database": {"url": URL, "listenUrl": URL}}),
    "by file": merged(
        IMAGE, TOKENS, EXTRAS, {"database": {"urlFile": "/etc/pg/url", "listenUrlFile": "/etc/pg/direct"}}
    ),
    "bundled database": bundled(),
    "bundled database without a volume": bundled({"postgresql": {"persistence": {"enabled": False}}}),
    "tokens in values": merged(IMAGE, EXTERNAL, {"auth": {"tokens": [TOKEN, TOKEN.replace("ci", "you", 1)]}}),
    "open to everyone": merged(IMAGE, EXTERNAL, {"auth": {"insecureNoAuth": True}}),
    "ingress": external(
        {"ingress": {
            "enabled": True, "className": "nginx", "annotations": {"a": "b"},
            "hosts": [{"host": "a.example.org"}, {"host": "b.example.org", "paths": [{"path": "/evals"}]}],
            "tls": [{"secretName": "certificate", "hosts": ["a.example.org"]}],
        }}
    ),
    "autoscaling": external(AUTOSCALING),
    "credentials": external(CREDENTIALS),
    "credentials, executed by the API": external(CREDENTIALS, {"api": {"concurrentRuns": 3}}),
    "restricted network": external(RESTRICTED),
    "restricted network, bundled database": bundled(RESTRICTED),
    "no network policy": bundled({"networkPolicy": {"enabled": False}}),
    "API alone": external({"worker": {"enabled": False}, "api": {"concurrentRuns": 4}}),
    "migrations by every start": external({"migrations": {"mode": "start"}}),
    "migrations by somebody else": external({"migrations": {"mode": "none"}}),
    "service account of others": external(
        CREDENTIALS, {"serviceAccount": {"create": False, "name": "others"}}
    ),
    "placement": external(PLACEMENT),
    "placement, bundled database": bundled(PLACEMENT),
    "extras": external(EXTRAS),
    "every setting": external(EVERY_SETTING),
    "user ids of the cluster": external({"podSecurityContext": dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"))}),
    "names of its own": bundled({"nameOverride": "scores", "fullnameOverride": "x" * 60}),
    "digests": bundled({"image": {"digest": "sha256:" + "0" * 64}, "postgresql": {"image": {"digest": "sha256:" + "1" * 64}}}),
    "no disruption budgets": external({c: {"podDisruptionBudget": {"enabled": False}} for c in ("api", "worker")}),
}  # fmt: skip

# What the combinations refer to and somebody else makes.
FOREIGN = {
    "Secret": {
        "tokens": {"list"}, "database": {"uri", "direct"}, "jaeger": {"token"}, "credential-files": None,
        "pgpass": None, "certificate": None, "registry": None,
    },
    "ConfigMap": {"evaluators": None},
    "PersistentVolumeClaim": {"lib": None, "sinks": None},
    "ServiceAccount": {"default": None, "others": None, "dba": None},
}  # fmt: skip
