"""The services that run: those of `throughline up`, or those whose addresses the environment gives."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib import metadata

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from throughline.cli.checks.finding import Examined, Finding, looked, missing, ok, warning
from throughline.cli.deployment import Deployment
from throughline.cli.stack import METRICS, SERVICES
from throughline.domain.errors import NotFound
from throughline.perception.triton.client import InferenceClient
from throughline.tracker.settings import TrackerSettings
from throughline.wire.client import connect
from throughline.wire.settings import ServiceSettings

_SECONDS = 5.0


def check_running(examined: Examined) -> Iterator[Finding]:
    """Each service's health and release."""
    try:
        deployment = Deployment.load(examined.home)
    except NotFound:
        named = {name: os.environ.get(f"THROUGHLINE_{name.upper()}_TARGET", "") for name in (*SERVICES, "triton")}
        addresses = {name: address for name, address in named.items() if address}
        if not addresses:
            yield ok("services", f"none run with the home {examined.home}")
    else:
        addresses = deployment.addresses
    for name in SERVICES:
        if name in addresses:
            yield _service(name, addresses[name], addresses.get(METRICS[name], ""))
    if "triton" in addresses:
        yield _triton(addresses["triton"])


def _service(name: str, address: str, metrics: str) -> Finding:
    what = f"{name} at {address}"
    if not _serves(address):
        return missing(what, "does not serve", "start it; its log says why it does not")
    release, ours = _release(metrics), metadata.version("throughline")
    if release not in ("", ours):
        return warning(what, f"serves, release {release}", f"this is release {ours}: bring both to the same one")
    return ok(what, f"serves{f', release {release}' if release else ''}")


def _serves(address: str) -> bool:
    """By TLS where THROUGHLINE_TLS_CA is set, as the services call each other."""
    with connect(address, ServiceSettings()) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _release(metrics: str) -> str:
    """The release that a service says it is; empty where its metrics are not served."""
    if not metrics:
        return ""
    try:
        with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=_SECONDS) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
    except (urllib.error.URLError, OSError):
        return ""
    samples = [sample for family in families for sample in family.samples if sample.name == "throughline_build_info"]
    return samples[0].labels["version"] if samples else ""


def _triton(address: str) -> Finding:
    """Whether its models can be used, asked as the trackers ask it: by TLS where THROUGHLINE_TRITON_TLS_CA is set."""

    def look() -> str:
        tls = TrackerSettings().triton_tls
        with InferenceClient(address, request_timeout_seconds=_SECONDS, tls=tls) as client:
            client.wait_ready(0.0)
        return f"serves both models{', with TLS' if tls.ca else ''}"

    return looked(f"triton at {address}", look, "its log says more, where it runs")
