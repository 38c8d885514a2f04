"""The manifests fit Kubernetes' own schemas, and one another, and the services."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tests.deployment.dockerfile import ROOT, read_dockerfile
from tests.deployment.kustomize import OVERLAYS, Manifest, overlay, pod_templates
from tests.deployment.rules import SERVICES, check_environment, grace_seconds

KUBERNETES = "1.33"


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return overlay(request.param)


def named(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == kind}


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Name of the owner and pod template of all that makes pods."""
    for manifest in manifests:
        for template in pod_templates(manifest):
            yield manifest["metadata"]["name"], template


def own(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The pod templates of Throughline's own services, by name."""
    return {name: template for name, template in pods(manifests) if name in SERVICES}


def environment(manifests: list[Manifest], template: Manifest) -> dict[str, Any]:
    """Variables of the first container: from config maps, of its own, and as files in the folder of secrets."""
    container, maps = template["spec"]["containers"][0], named(manifests, "ConfigMap")
    values: dict[str, Any] = {}
    for source in container.get("envFrom", ()):
        values |= maps[source["configMapRef"]["name"]]["data"]
    return values | {each["name"]: each.get("value", "from the pod") for each in container.get("env", ())}


def secret_files(template: Manifest) -> set[str]:
    volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
    return {item["path"] for item in volumes["secrets"]["secret"]["items"]}


def test_every_manifest_fits_its_schema(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", OVERLAYS)
def test_kubectl_builds_the_same(name: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl here")
    folder = ROOT / "k8s" / "overlays" / name
    built = subprocess.run(["kubectl", "kustomize", str(folder)], check=True, capture_output=True, timeout=120).stdout

    def order(manifest: Manifest) -> tuple[str, str]:
        return manifest["kind"], manifest["metadata"]["name"]

    assert sorted(yaml.safe_load_all(built), key=order) == sorted(overlay(name), key=order)


def test_every_service_has_a_headless_service_an_account_and_a_disruption_budget(manifests: list[Manifest]) -> None:
    for name in (*SERVICES, "triton"):
        assert named(manifests, "Service")[name]["spec"]["clusterIP"] == "None"
        assert name in named(manifests, "ServiceAccount")
        budget = named(manifests, "PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"]
        template = dict(pods(manifests))[name]
        assert budget.items() <= template["metadata"]["labels"].items()
        assert template["spec"]["serviceAccountName"] == name


def test_ports_are_those_of_the_image_and_of_the_services(manifests: list[Manifest]) -> None:
    for name, template in own(manifests).items():
        container = template["spec"]["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert set(ports.values()) == read_dockerfile()["throughline"].ports
        assert {
            port["targetPort"]: port["port"] for port in named(manifests, "Service")[name]["spec"]["ports"]
        } == ports
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["grpc"]["port"] == ports["grpc"]


def test_every_variable_is_a_setting_and_none_is_missing(manifests: list[Manifest]) -> None:
    templates = own(manifests)
    assert set(templates) == set(SERVICES)
    for name, template in templates.items():
        assert template["spec"]["containers"][0]["args"] == ["serve", name]
        image = read_dockerfile()["throughline"].environment
        check_environment(name, {**image, **environment(manifests, template)}, secret_files(template))


def test_targets_are_services_and_their_ports(manifests: list[Manifest]) -> None:
    services = named(manifests, "Service")
    for template in own(manifests).values():
        for variable, value in environment(manifests, template).items():
            if variable.endswith("_TARGET"):
                host, _, port = value.partition(":")
                assert int(port) in {each["port"] for each in services[host]["spec"]["ports"]}, f"{variable}={value}"


def test_pods_are_confined(manifests: list[Manifest]) -> None:
    for name, template in pods(manifests):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        for container in spec["containers"]:
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
            assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
            assert {"cpu", "memory"} <= set(container["resources"]["limits"]), name
            assert re.search(r":\d+\.\d+", container["image"]), name
            if name in SERVICES:
                assert container["securityContext"]["readOnlyRootFilesystem"] is True, name


def test_pods_are_given_the_time_that_a_clean_end_takes(manifests: list[Manifest]) -> None:
    for name, template in own(manifests).items():
        given = template["spec"]["terminationGracePeriodSeconds"]
        assert given > grace_seconds(name, environment(manifests, template)), name


def test_executors_are_named_after_their_pods(manifests: list[Manifest]) -> None:
    (orchestrator,) = named(manifests, "StatefulSet").values()
    (variable,) = (
        each
        for each in orchestrator["spec"]["template"]["spec"]["containers"][0]["env"]
        if each["name"] == "THROUGHLINE_EXECUTOR_ID"
    )
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert orchestrator["spec"]["serviceName"] == "orchestrator"


def test_what_scales_by_itself_states_no_number_of_replicas(manifests: list[Manifest]) -> None:
    deployments = named(manifests, "Deployment")
    for scaler in named(manifests, "HorizontalPodAutoscaler").values():
        assert "replicas" not in deployments[scaler["spec"]["scaleTargetRef"]["name"]]["spec"]


def test_volumes_mounts_and_claims_belong_together(manifests: list[Manifest]) -> None:
    claims = named(manifests, "PersistentVolumeClaim")
    for name, template in pods(manifests):
        volumes = {volume["name"]: volume for volume in template["spec"].get("volumes", ())}
        for container in template["spec"]["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes), name
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims, name


def test_network_policies_let_the_callers_of_each_service_in(manifests: list[Manifest]) -> None:
    policies = named(manifests, "NetworkPolicy")
    assert policies["nobody"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    templates = own(manifests)
    callers: dict[str, set[str]] = {}
    for name, template in templates.items():
        for variable, value in environment(manifests, template).items():
            if variable.endswith("_TARGET") and value.partition(":")[0] != name:
                callers.setdefault(value.partition(":")[0], set()).add(name)
    callers["orchestrator"] = {"tier"}
    for callee, wanted in callers.items():
        assert wanted <= _let_in(list(policies.values()), callee), callee


def _let_in(policies: list[Manifest], callee: str) -> set[str]:
    key = "app.kubernetes.io/name"
    allowed: set[str] = set()
    for policy in policies:
        selector = policy["spec"]["podSelector"]
        values = {selector.get("matchLabels", {}).get(key)}
        for expression in selector.get("matchExpressions", ()):
            values |= set(expression["values"])
        if callee in values:
            peers = [peer for rule in policy["spec"]["ingress"] for peer in rule["from"] if "podSelector" in peer]
            allowed |= {peer["podSelector"]["matchLabels"].get(key, "") for peer in peers}
    return allowed


def test_gpus_are_asked_for_in_their_overlay_alone() -> None:
    def gpus(name: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for owner, template in pods(overlay(name)):
            number = template["spec"]["containers"][0]["resources"]["limits"].get("nvidia.com/gpu", 0)
            found |= {owner: number} if number else {}
        return found

    assert gpus("cpu") == {}
    assert gpus("gpu") == {"triton": 1, "models-tensorrt": 1}
