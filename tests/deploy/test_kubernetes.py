"""The Kubernetes manifests: rendered by Kustomize, valid by Kubernetes' and KEDA's schemas, and true to the code."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate  # pyright: ignore[reportMissingTypeStubs]
import pytest
import yaml
from cloudcoil.models.keda import v1alpha1 as keda
from manifests import DRAIN, MARGIN_SECONDS, ROOT, Manifest, api_paths, commands, settings_of, worker_paths

from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, QueueDepth
from penstock.scaling import EMBEDDERS, INGESTERS, ScalingRule

FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("redis", "sqs")
ROLES = ("api", "ingester", "embedder")
SCALED = {"ingester": (INGEST_QUEUE, INGESTERS), "embedder": (EMBEDDING_QUEUE, EMBEDDERS)}
SECRET = {"PENSTOCK_DATABASE_URL": "postgresql://penstock:s3cret@database.example.org/penstock"}
"""What the Secret holds that the user makes."""
KUSTOMIZE = [["kubectl", "kustomize"], ["kustomize", "build"]]

pytestmark = pytest.mark.skipif(
    not any(shutil.which(command[0]) for command in KUSTOMIZE), reason="neither kubectl nor kustomize is installed"
)


@cache
def rendered(overlay: str) -> tuple[Manifest, ...]:
    command = next(command for command in KUSTOMIZE if shutil.which(command[0]))
    shown = subprocess.run([*command, FOLDER / "overlays" / overlay], check=True, capture_output=True, text=True)
    assert not shown.stderr, shown.stderr  # warnings of what is deprecated
    return tuple(yaml.safe_load_all(shown.stdout))


def of_kind(overlay: str, kind: str) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in rendered(overlay) if one["kind"] == kind}


def pod(overlay: str, role: str) -> dict[str, Any]:
    return of_kind(overlay, "Deployment")[role]["spec"]["template"]


def container(overlay: str, role: str) -> dict[str, Any]:
    (only,) = pod(overlay, role)["spec"]["containers"]
    return only


def environment(overlay: str) -> dict[str, str]:
    """As a container gets it: the ConfigMap, then the Secret."""
    return of_kind(overlay, "ConfigMap")["penstock"]["data"] | SECRET


@pytest.mark.parametrize("version", ["1.29", "1.36"])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_is_valid_and_has_no_field_that_kubernetes_does_not_know(overlay: str, version: str) -> None:
    kinds: set[str] = set()
    for one in rendered(overlay):
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "penstock"
        if one["kind"] != "ScaledObject":
            kubernetes_validate.validate(one, version, strict=True)
            kinds.add(one["kind"])
    assert kinds >= {"Deployment", "Service", "ConfigMap", "PodDisruptionBudget", "NetworkPolicy", "ServiceAccount"}


def test_a_wrong_field_would_be_found() -> None:
    deployment = of_kind("redis", "Deployment")["api"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment | {"spec": deployment["spec"] | {"replica": 2}}, "1.36", strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("role", SCALED)
def test_keda_knows_every_field_of_a_scaled_object(overlay: str, role: str) -> None:
    one = of_kind(overlay, "ScaledObject")[role]
    known = keda.ScaledObject.model_validate(one).model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert {**known, "metadata": None} == {**one, "metadata": None}  # what it does not know it drops


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize(("role", "queue", "rule"), [(role, *asked) for role, asked in SCALED.items()])
def test_keda_obeys_the_rule_that_was_proved(overlay: str, role: str, queue: str, rule: ScalingRule) -> None:
    spec = of_kind(overlay, "ScaledObject")[role]["spec"]
    assert spec["scaleTargetRef"]["name"] in of_kind(overlay, "Deployment")
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (rule.least, rule.most)
    modifiers, behavior = (
        spec["advanced"]["scalingModifiers"],
        spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"],
    )
    assert float(modifiers["target"]) == pytest.approx(rule.backlog_per_worker)
    assert modifiers["metricType"] == "AverageValue"
    assert float(modifiers["activationTarget"]) == 0  # a single message is reason enough
    assert spec["cooldownPeriod"] == behavior["scaleDown"]["stabilizationWindowSeconds"] == rule.cooldown_seconds
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behavior["scaleUp"]["policies"][0]["value"] >= rule.most  # all at once
    assert "fallback" not in spec
    assert modifiers["formula"].split(" + ") == [trigger["name"] for trigger in spec["triggers"]]
    assert {trigger["metadata"]["valueLocation"] for trigger in spec["triggers"]} == {
        f"{queue}.{field}" for field in ("waiting", "in_flight")
    }
    assert {"waiting", "in_flight"} <= set(QueueDepth.model_fields)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_keda_asks_the_service_and_is_let_in(overlay: str) -> None:
    service = of_kind(overlay, "Service")["api"]
    for scaled in of_kind(overlay, "ScaledObject").values():
        for trigger in scaled["spec"]["triggers"]:
            url = urlsplit(str(trigger["metadata"]["url"]))
            assert trigger["type"] == "metrics-api"
            assert url.hostname == f"api.{service['metadata']['namespace']}.svc"
            assert url.port == service["spec"]["ports"][0]["port"]
            assert url.path in api_paths()
    (ingress,) = of_kind(overlay, "NetworkPolicy")["api"]["spec"]["ingress"]
    assert {"kubernetes.io/metadata.name": "keda"} in [
        one["namespaceSelector"]["matchLabels"] for one in ingress["from"]
    ]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_settings_load(overlay: str) -> None:
    settings = settings_of(environment(overlay))
    assert settings.api.host == "0.0.0.0"
    assert settings.queue.url.get_secret_value().startswith(overlay)
    workers = sum(rule.most for _, rule in SCALED.values())
    assert workers * settings.database.pool_size <= 500  # what a PostgreSQL or its pooler can be set to


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_all_that_containers_read_is_there(overlay: str) -> None:
    maps = of_kind(overlay, "ConfigMap")
    for role in ROLES:
        sources = container(overlay, role)["envFrom"]
        assert sources[0]["configMapRef"]["name"] in maps
        assert sources[1:] == [{"secretRef": {"name": "penstock"}}]  # later ones win: a URL with a password goes there
        assert pod(overlay, role)["spec"]["serviceAccountName"] in of_kind(overlay, "ServiceAccount")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_runs_a_role_and_is_probed_where_it_answers(overlay: str, role: str) -> None:
    one = container(overlay, role)
    assert one["args"] == [role]
    assert role in commands()
    (port,) = one["ports"]
    variable = "PENSTOCK_API_PORT" if role == "api" else "PENSTOCK_WORKER_HEALTH_PORT"
    assert str(port["containerPort"]) == environment(overlay)[variable]
    answered = api_paths() if role == "api" else worker_paths()
    probes = [one[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    assert [probe["path"] for probe in probes] == ["/health/live", "/health/live", "/health/ready"]
    for probe in probes:
        assert probe["path"] in answered
        assert probe["port"] == port["name"]
    told = pod(overlay, role)["metadata"]["annotations"]
    assert told["prometheus.io/path"] in answered
    assert told["prometheus.io/port"] == str(port["containerPort"])


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_has_time_to_drain_and_no_rights(overlay: str, role: str) -> None:
    spec, one = pod(overlay, role)["spec"], container(overlay, role)
    stopping = one.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    drain = float(environment(overlay)[DRAIN])
    assert spec["terminationGracePeriodSeconds"] >= drain + float(stopping[1]) + MARGIN_SECONDS
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [mount["mountPath"] for mount in one["volumeMounts"]] == ["/tmp"]
    assert {"cpu", "memory", "ephemeral-storage"} <= set(one["resources"]["requests"])
    assert "memory" in one["resources"]["limits"]
    assert "cpu" not in one["resources"]["limits"]  # a core that is free helps; a limit makes heartbeats late
    namespace = of_kind(overlay, "Namespace")["penstock"]["metadata"]["labels"]
    assert namespace["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_number_of_workers_is_keda_s_alone(overlay: str) -> None:
    deployments = of_kind(overlay, "Deployment")
    assert {name for name, one in deployments.items() if "replicas" not in one["spec"]} == set(SCALED)
    assert deployments["api"]["spec"]["replicas"] >= 1  # who else would say what waits


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_selects_pods_selects_those_of_its_name(overlay: str) -> None:
    labels = {role: pod(overlay, role)["metadata"]["labels"] for role in ROLES}
    budgets = of_kind(overlay, "PodDisruptionBudget")
    selectors = {
        **{f"{n} budget": (n, o["spec"]["selector"]["matchLabels"]) for n, o in budgets.items()},
        **{f"{n} service": (n, o["spec"]["selector"]) for n, o in of_kind(overlay, "Service").items()},
        **{f"{n} pods": (n, o["spec"]["selector"]["matchLabels"]) for n, o in of_kind(overlay, "Deployment").items()},
        "api policy": ("api", of_kind(overlay, "NetworkPolicy")["api"]["spec"]["podSelector"]["matchLabels"]),
    }
    assert len(selectors) == 3 + 1 + 3 + 1
    for told, (name, selector) in selectors.items():
        assert [role for role in ROLES if selector.items() <= labels[role].items()] == [name], told
    everybody = of_kind(overlay, "NetworkPolicy")["penstock"]["spec"]
    assert all(everybody["podSelector"]["matchLabels"].items() <= labels[role].items() for role in ROLES)
    assert sorted(everybody["policyTypes"]) == ["Egress", "Ingress"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_the_settings_name_may_be_reached(overlay: str) -> None:
    allowed = {
        port["port"]
        for rule in of_kind(overlay, "NetworkPolicy")["penstock"]["spec"]["egress"]
        for port in rule["ports"]
    }
    usual = {"redis": 6379, "postgresql": 5432, "sqs": 443, "s3": 443}
    for variable in ("PENSTOCK_DATABASE_URL", "PENSTOCK_QUEUE_URL", "PENSTOCK_OBJECT_STORE_URL"):
        url = urlsplit(environment(overlay)[variable])
        assert (url.port or usual[url.scheme]) in allowed, variable
    assert 53 in allowed


def test_the_overlay_s_policy_is_the_base_s_and_redis() -> None:
    """Kustomize replaces the list: what the base gains must be said there, too."""
    base, redis = (
        [rule["ports"][0]["port"] for rule in of_kind(overlay, "NetworkPolicy")["penstock"]["spec"]["egress"]]
        for overlay in ("sqs", "redis")
    )
    assert [port for port in redis if port != 6379] == base
    assert all(one != other for one, other in pairwise(redis))
