"""The password of the bundled database is made once: an upgrade that made another would lock everyone out."""

import base64
import copy

import pytest

from cluster import cluster
from combinations import IMAGE, TOKENS, merged
from support import HELMS, NAMESPACE, one, render, template

NONE_GIVEN = merged(IMAGE, TOKENS, {"postgresql": {"enabled": True}})
GIVEN = merged(NONE_GIVEN, {"postgresql": {"password": "given"}})

pytestmark = pytest.mark.parametrize("helm_name", HELMS)


def against(address, values, helm_name, run=template):
    return run(values, helm_name, extra=("--dry-run=server", "--disable-openapi-validation", "--kube-apiserver", address))


def installed(values, helm_name):
    """The Secret as it is in the cluster after an install."""
    secret = copy.deepcopy(one(render(values, helm_name), "Secret", "-postgresql"))
    owner = {"meta.helm.sh/release-name": "r", "meta.helm.sh/release-namespace": NAMESPACE}
    secret["metadata"]["annotations"] = owner
    return secret


def password(objects):
    secret = one(objects, "Secret", "-postgresql")
    return base64.b64decode(secret["data"]["password"]).decode()


def test_it_is_made_at_the_first_install(helm_name):
    with cluster() as address:
        first = password(against(address, NONE_GIVEN, helm_name, render))
    with cluster() as address:
        second = password(against(address, NONE_GIVEN, helm_name, render))
    assert len(first) == 32 and first.isalnum() and first != second


def test_it_is_kept_by_upgrades(helm_name):
    secret = installed(NONE_GIVEN, helm_name)
    with cluster([secret]) as address:
        objects = against(address, NONE_GIVEN, helm_name, render)
    assert one(objects, "Secret", "-postgresql")["data"] == secret["data"]


def test_the_url_holds_it(helm_name):
    data = one(render(GIVEN, helm_name), "Secret", "-postgresql")["data"]
    url = base64.b64decode(data["url"]).decode()
    assert url == "postgres://agentevals:given@r-agentevals-postgresql:5432/agentevals"


def test_another_than_that_of_the_data_is_refused(helm_name):
    secret = installed(NONE_GIVEN, helm_name)
    with cluster([secret]) as address:
        done = against(address, GIVEN, helm_name)
    assert done.returncode != 0
    assert "postgresql.password differs from the one that the data was made with" in done.stderr
    with cluster([installed(GIVEN, helm_name)]) as address:
        assert against(address, GIVEN, helm_name).returncode == 0
