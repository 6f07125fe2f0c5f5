"""A node of a cluster, as far as the chart needs one: runs rendered pods with podman.

podman knows neither Services nor probes of containers without a shell, shares volumes of one name between pods, and
ignores `fsGroup`. So volumes are folders, made as a kubelet makes them; probes and the Service are here; all pods share
the network of this process, where each has an address of its own. Everything else is as it was rendered: image, command,
variables and their Secrets, user, capabilities, read-only root, resources.
"""

import base64
import copy
import itertools
import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import yaml

PREFIX = "agentevals-chart-test-"
# Of a pod, what podman does not know or a node does.
NOT_FOR_PODMAN = ("serviceAccountName", "automountServiceAccountToken", "topologySpreadConstraints", "enableServiceLinks")
NOT_FOR_ITS_CONTAINER = ("ports", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle")


def eventually(what, check, seconds=60):
    """The first true answer."""
    end = time.monotonic() + seconds
    while not (answer := check()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.1)
    return answer


class Node:
    def __init__(self, folder):
        self.folder = folder
        self.secrets = {}
        self.hosts = {"localhost": "127.0.0.1"}
        self.pods = {}
        self.numbers = itertools.count(11)
        configuration = folder / "containers.conf"
        limits = ["nofile=1024:1024", "nproc=1024:1024"]
        configuration.write_text(
            f'[containers]\ndefault_ulimits = {json.dumps(limits)}\n[engine]\nruntime = "runc"\n'
        )
        self.environment = {**os.environ, "CONTAINERS_CONF": str(configuration)}

    def podman(self, *arguments, check=True, **options):
        done = subprocess.run(
            ["podman", *arguments], capture_output=True, text=True, timeout=120, env=self.environment, **options
        )
        assert not check or done.returncode == 0, f"podman {arguments}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def keep(self, objects):
        """Takes the Secrets in; podman reads variables out of its own."""
        for it in objects:
            if it["kind"] == "Secret":
                name = it["metadata"]["name"]
                self.secrets[name] = it["data"]
                self.podman("secret", "rm", name, check=False)
                self.podman("secret", "create", name, "-", input=json.dumps(it["data"]))

    def start(self, name, spec):
        """Starts a pod; its address."""
        address = f"127.0.0.{next(self.numbers)}"
        own = copy.deepcopy(spec)
        for key in NOT_FOR_PODMAN:
            own.pop(key, None)
        own["hostNetwork"] = True
        group = spec["securityContext"]["fsGroup"]
        own["volumes"] = [self.volume(name, volume, group) for volume in spec.get("volumes", [])]
        hosts = self.folder / "hosts"
        hosts.write_text("".join(f"{ip} {host}\n" for host, ip in self.hosts.items()))
        own["volumes"].append({"name": "hosts", "hostPath": {"path": str(hosts), "type": "File"}})
        for container in own["containers"]:
            container.setdefault("volumeMounts", []).append({"name": "hosts", "mountPath": "/etc/hosts"})
            for key in NOT_FOR_ITS_CONTAINER:
                container.pop(key, None)
            for variable in container.get("env", []):
                if variable["name"] == "AGENTEVALS_HOST":
                    variable["value"] = address
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": PREFIX + name}, "spec": own}
        self.pods[name] = spec
        self.podman("play", "kube", "--network", "host", "-", input=yaml.safe_dump(manifest))
        return address

    def volume(self, pod, volume, group):
        """A volume as a folder that the pod's group may write to."""
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        folder = self.folder / "volumes" / (claim or f"{pod}-{volume['name']}")
        folder.mkdir(parents=True, exist_ok=True)
        for key, value in self.secrets[volume["secret"]["secretName"]].items() if "secret" in volume else ():
            (folder / key).write_bytes(base64.b64decode(value))
        os.chown(folder, 0, group)
        folder.chmod(0o2775)
        return {"name": volume["name"], "hostPath": {"path": str(folder), "type": "Directory"}}

    def container(self, name):
        return f"{PREFIX}{name}-{self.pods[name]['containers'][0]['name']}"

    def inspect(self, name):
        return json.loads(self.podman("inspect", self.container(name)))[0]

    def logs(self, name):
        done = subprocess.run(["podman", "logs", self.container(name)], capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    def finish(self, name):
        """Waits until the pod has ended by itself; its exit code."""
        return int(self.podman("wait", self.container(name)))

    def stop(self, name):
        """Stops a pod within its grace period; its exit code."""
        grace = self.pods[name]["terminationGracePeriodSeconds"]
        self.podman("pod", "stop", "--time", str(grace), PREFIX + name)
        return self.inspect(name)["State"]["ExitCode"]

    def remove(self, name):
        self.podman("pod", "rm", "--force", PREFIX + name, check=False)
        self.pods.pop(name, None)

    def clear(self):
        for name in list(self.pods):
            self.remove(name)
        for name in self.secrets:
            self.podman("secret", "rm", name, check=False)


def probe(container, kind, address):
    """Whether a probe over HTTP succeeds."""
    port = container["ports"][0]["containerPort"]
    url = f"http://{address}:{port}{container[kind]['httpGet']['path']}"
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except (urllib.error.URLError, OSError):
        return False


class Service:
    """Passes connections on to whoever is ready, in turn."""

    def __init__(self, address, port, target_port):
        self.ready = []
        self.turn = itertools.count()
        self.target_port = target_port
        self.listener = socket.create_server((address, port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            ready = list(self.ready)
            if not ready:
                connection.close()
                continue
            address = ready[next(self.turn) % len(ready)]
            threading.Thread(target=self.pass_on, args=(connection, address), daemon=True).start()

    def pass_on(self, connection, address):
        with connection, socket.create_connection((address, self.target_port)) as target:
            back = threading.Thread(target=_copy, args=(target, connection), daemon=True)
            back.start()
            _copy(connection, target)
            back.join()

    def close(self):
        self.listener.close()


def _copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
