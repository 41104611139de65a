"""That the control plane the operator is tested with is a real one, and of the pinned versions."""

import base64
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.servers import Cluster, NotReady, ask, etcd
from cluster.tools.build import TOOLS

pytestmark = pytest.mark.xdist_group("servers")

VERSIONS = {tool.name: tool.version() for tool in TOOLS}


# ------------------------------------------------------------------------------------------------ etcd


def test_etcd_is_healthy(etcd_url: str) -> None:
    assert ask(f"{etcd_url}/health").json["health"] == "true"
    assert f"v{ask(f'{etcd_url}/version').json['etcdserver']}" == VERSIONS["etcd"]


def test_etcd_keeps_what_it_is_given(etcd_url: str) -> None:
    key, value = (base64.b64encode(text).decode() for text in (b"/atlas/test", b"kept"))
    assert ask(f"{etcd_url}/v3/kv/put", json.dumps({"key": key, "value": value}).encode()).status == 200
    answer = ask(f"{etcd_url}/v3/kv/range", json.dumps({"key": key}).encode())
    [found] = answer.json["kvs"]
    assert (found["key"], found["value"]) == (key, value)


def test_a_server_that_ends_says_why(etcd_url: str, tmp_path: Path) -> None:
    (tmp_path / "etcd").write_text("a file where the data should lie")
    said = r"(?s)^etcd ended with status \d+; its last lines:\n.*not a directory"
    with pytest.raises(NotReady, match=said), etcd(tmp_path):
        pytest.fail("it started")


# ------------------------------------------------------------------------------------------------ Kubernetes


def test_kubernetes_is_ready(cluster: Cluster) -> None:
    assert cluster.ask("/readyz").body == b"ok"
    assert cluster.ask("/version").json["gitVersion"] == VERSIONS["kubernetes"]


def test_who_may_list_namespaces(cluster: Cluster) -> None:
    listed = cluster.ask("/api/v1/namespaces")
    assert listed.status == 200
    assert "default" in {each["metadata"]["name"] for each in listed.json["items"]}
    refused = cluster.ask("/api/v1/namespaces", token="")
    assert (refused.status, refused.json["reason"]) == (403, "Forbidden")
    assert "system:anonymous" in refused.json["message"]
    assert cluster.ask("/api/v1/namespaces", token="somebody").status == 401


def test_tokens_of_service_accounts_are_for_one_audience(cluster: Cluster) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "step"}}
    assert cluster.ask("/api/v1/namespaces/default/serviceaccounts", account).status == 201
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": ["atlas"], "expirationSeconds": 600},
    }
    issued = cluster.ask("/api/v1/namespaces/default/serviceaccounts/step/token", request)
    assert issued.status == 201
    token = issued.json["status"]["token"]

    def review(audience: str) -> dict[str, Any]:
        document = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [audience]},
        }
        answer = cluster.ask("/apis/authentication.k8s.io/v1/tokenreviews", document)
        assert answer.status == 201
        status: dict[str, Any] = answer.json["status"]
        return status

    accepted = review("atlas")
    assert (accepted["authenticated"], accepted["audiences"]) == (True, ["atlas"])
    assert accepted["user"]["username"] == "system:serviceaccount:default:step"
    assert not review("somebody-else").get("authenticated")
    assert cluster.ask("/api/v1/namespaces", token=token).status == 401, "the token is not for the API server"


def test_custom_resources_are_checked_against_their_schema(cluster: Cluster) -> None:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}}}},
    }
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.test.atlas.dev"},
        "spec": {
            "group": "test.atlas.dev",
            "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    assert cluster.ask("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).status == 201
    things = "/apis/test.atlas.dev/v1/namespaces/default/things"
    deadline = time.monotonic() + 30
    while cluster.ask(things).status != 200:
        assert time.monotonic() < deadline, "the custom resource is not served"
        time.sleep(0.1)

    def create(name: str, size: object) -> int:
        thing = {"apiVersion": "test.atlas.dev/v1", "kind": "Thing", "metadata": {"name": name}, "spec": {"size": size}}
        return cluster.ask(things, thing).status

    assert create("right", 3) == 201
    assert create("wrong", "three") == 422


# ------------------------------------------------------------------------------------------------ Helm


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    root = tmp_path / "minimal"
    (root / "templates").mkdir(parents=True)
    (root / "Chart.yaml").write_text("apiVersion: v2\nname: minimal\nversion: 0.1.0\n")
    (root / "values.yaml").write_text("greeting: hello\n")
    (root / "templates" / "greeting.yaml").write_text(
        "apiVersion: v1\n"
        "kind: ConfigMap\n"
        "metadata: {name: {{ .Release.Name }}-greeting}\n"
        "data: {greeting: {{ .Values.greeting | quote }}}\n"
    )
    return root


def run_helm(program: Path, home: Path, *arguments: str) -> str:
    """Run Helm with nothing of the user's own."""
    places = {name: str(home / name) for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")}
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **places}
    done = subprocess.run(
        [program, *arguments], check=False, capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_helm_is_the_pinned_version(helm_program: Path, tmp_path: Path) -> None:
    assert run_helm(helm_program, tmp_path, "version", "--template", "{{.Version}}") == VERSIONS["helm"]


def test_helm_renders_a_chart(helm_program: Path, tmp_path: Path, chart: Path) -> None:
    rendered = run_helm(helm_program, tmp_path, "template", "one", str(chart), "--set", "greeting=good day")
    assert 'metadata: {name: one-greeting}\ndata: {greeting: "good day"}\n' in rendered


def test_helm_installs_a_chart(helm_program: Path, tmp_path: Path, chart: Path, cluster: Cluster) -> None:
    run_helm(helm_program, tmp_path, "install", "two", str(chart), "--kubeconfig", str(cluster.kubeconfig))
    found = cluster.ask("/api/v1/namespaces/default/configmaps/two-greeting")
    assert (found.status, found.json["data"]) == (200, {"greeting": "hello"})
