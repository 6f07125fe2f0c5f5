"""As much of the Kubernetes API as helm asks when it renders against a cluster: discovery, and objects that are there."""

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support import NAMESPACE

# Kinds of the chart by group version; helm maps each kind that it renders to its path.
KINDS = {
    "v1": ["Secret", "Service", "ServiceAccount", "PersistentVolumeClaim", "Pod"],
    "apps/v1": ["Deployment"],
    "batch/v1": ["Job"],
    "autoscaling/v2": ["HorizontalPodAutoscaler"],
    "networking.k8s.io/v1": ["NetworkPolicy", "Ingress"],
    "policy/v1": ["PodDisruptionBudget"],
    "rbac.authorization.k8s.io/v1": ["Role", "RoleBinding"],
}


def _plural(kind):
    return re.sub(r"y$", "ie", kind.lower()).removesuffix("s") + ("es" if kind == "Ingress" else "s")


def _resources(group_version):
    resources = [
        {"name": _plural(kind), "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": ["get"]}
        for kind in KINDS[group_version]
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def _groups():
    groups = []
    for group_version in KINDS:
        if "/" in group_version:
            version = {"groupVersion": group_version, "version": group_version.split("/")[1]}
            groups.append({"name": group_version.split("/")[0], "versions": [version], "preferredVersion": version})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _answers(objects):
    """What is answered, by path; nothing else is there."""
    answers = {
        "/version": {"major": "1", "minor": "37", "gitVersion": "v1.37.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": _groups(),
        # Releases that helm has stored: none.
        f"/api/v1/namespaces/{NAMESPACE}/secrets": {"kind": "SecretList", "apiVersion": "v1", "items": []},
    }
    for group_version in KINDS:
        answers[("/apis/" if "/" in group_version else "/api/") + group_version] = _resources(group_version)
    for it in objects:
        namespace, name = it["metadata"]["namespace"], it["metadata"]["name"]
        prefix = ("/apis/" if "/" in it["apiVersion"] else "/api/") + it["apiVersion"]
        answers[f"{prefix}/namespaces/{namespace}/{_plural(it['kind'])}/{name}"] = it
    return answers


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.split("?")[0]
        answer = self.server.answers.get(path)
        missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        body = json.dumps(answer or missing).encode()
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def cluster(objects=()):
    """Its address, while it holds the objects."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.answers = _answers(objects)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
