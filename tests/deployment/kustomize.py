"""Builds k8s overlays as `kustomize build` does, as far as ours go: resources, namespace, labels, images, strategic merge patches.

Where kubectl is installed, a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from tests.deployment.dockerfile import ROOT

Manifest = dict[str, Any]
OVERLAYS = ("cpu", "gpu")
_KNOWN = {"apiVersion", "kind", "namespace", "labels", "resources", "patches", "images"}
_MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
}


def overlay(name: str) -> list[Manifest]:
    """All manifests of k8s/overlays/<name>."""
    return build(ROOT / "k8s" / "overlays" / name)


def build(folder: Path) -> list[Manifest]:
    document = yaml.safe_load((folder / "kustomization.yaml").read_text())
    unknown = set(document) - _KNOWN
    assert not unknown, f"{folder}: this builder does not know {', '.join(sorted(unknown))}"
    manifests: list[Manifest] = []
    for resource in document["resources"]:
        path = folder / resource
        manifests += build(path.resolve()) if path.is_dir() else _read(path)
    for patch in document.get("patches", ()):
        for change in _read(folder / patch["path"]):
            position = next(
                index for index, manifest in enumerate(manifests) if _identity(manifest) == _identity(change)
            )
            manifests[position] = _merge(manifests[position], change)
    for manifest in manifests:
        _transform(manifest, document)
    return manifests


def pod_templates(manifest: Manifest) -> Iterator[Manifest]:
    """The pod template of a manifest that makes pods."""
    template = manifest.get("spec", {}).get("template")
    if template is not None:
        yield template


def _read(path: Path) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def _identity(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def _merge(old: Any, new: Any, key: str = "") -> Any:
    """A strategic merge: maps go together, lists of named things by name, other lists are replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {
            name: _merge(old[name], new[name], name)
            if name in old and name in new
            else deepcopy(new.get(name, old.get(name)))
            for name in {**old, **new}
        }
    if isinstance(old, list) and isinstance(new, list) and key in _MERGE_KEYS:
        by = _MERGE_KEYS[key]
        changes = {each[by]: each for each in new}
        merged = [_merge(each, changes.pop(each[by], {}), "") for each in old]
        return [*merged, *changes.values()]
    return deepcopy(new)


def _transform(manifest: Manifest, document: Manifest) -> None:
    metadata = manifest["metadata"]
    if "namespace" in document and manifest["kind"] != "Namespace":
        metadata["namespace"] = document["namespace"]
    for labels in document.get("labels", ()):
        metadata.setdefault("labels", {}).update(labels["pairs"])
        for template in pod_templates(manifest) if labels.get("includeTemplates") else ():
            template["metadata"].setdefault("labels", {}).update(labels["pairs"])
    for image in document.get("images", ()):
        for template in pod_templates(manifest):
            for container in template["spec"]["containers"]:
                if container["image"] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"
