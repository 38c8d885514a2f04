"""The layers of the package, read from its imports: each may use only those above it, and services never each other."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "services"
SERVICES = {"ingest", "tracker", "renderer", "orchestrator", "tier", "alert", "console", "capture"}
LAYERS: list[set[str]] = [
    {"domain", "v1"},
    {"wire"},
    {"storage"},
    {"media"},
    {"perception"},
    SERVICES,
    {"models", "simulation"},
    {"training"},
    {"cli"},
]
"""From the top, which everything may use, to the bottom, which nothing may."""
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


@dataclass(frozen=True)
class Import:
    """One import: which module has it, where, what it names, and whether it runs when the module is imported."""

    module: str
    line: int
    target: str
    at_start: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"

    @property
    def layers(self) -> tuple[str, str]:
        """Names of the folders below the package that it leads from and to; empty for what is not in one."""
        return _folder(self.module), _folder(self.target)


def _folder(module: str) -> str:
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "throughline" else ""


def _modules() -> dict[str, Path]:
    paths = [path for path in (ROOT / "throughline").rglob("*.py") if "/v1/" not in path.as_posix()]
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


MODULES = _modules()


def _imports(module: str, path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text())
    at_start = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} has a relative import; name the module in full"
            names = [_imported(node.module or "", alias.name) for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(module, node.lineno, name, id(node) in at_start)


def _imported(package: str, name: str) -> str:
    """`from package import name` names a module only where there is one of that name."""
    return f"{package}.{name}" if f"{package}.{name}" in MODULES else package


IMPORTS = [found for module, path in sorted(MODULES.items()) for found in _imports(module, path)]


def test_every_folder_of_the_package_has_a_layer() -> None:
    folders = {path.parent.name for path in (ROOT / "throughline").glob("*/__init__.py")}
    assert folders <= set(LEVEL)


def test_every_layer_imports_only_those_above_it() -> None:
    wrong = []
    for found in IMPORTS:
        source, target = found.layers
        if source in LEVEL and target in LEVEL and source != target and LEVEL[target] >= LEVEL[source]:
            wrong.append(str(found))
    assert wrong == []


def test_services_never_import_each_other() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if found.layers[0] in SERVICES and found.layers[1] in SERVICES - {found.layers[0]}
    ]
    assert wrong == []


def test_the_domain_stands_on_the_standard_library_and_numpy_alone() -> None:
    allowed = {*sys.stdlib_module_names, "numpy"}
    foreign = [
        str(found)
        for found in IMPORTS
        if found.layers[0] == "domain" and found.layers[1] != "domain" and found.target.split(".")[0] not in allowed
    ]
    assert foreign == []


@pytest.mark.parametrize(
    ("package", "owners"),
    [("av", {"media"}), ("boto3", {"storage", "cli"}), ("tritonclient", {"perception", "models"})],
)
def test_a_library_that_has_one_home_is_used_nowhere_else(package: str, owners: set[str]) -> None:
    users = {found.layers[0] for found in IMPORTS if found.target.split(".")[0] == package}
    assert users <= owners


def test_no_module_imports_itself_through_others() -> None:
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for found in IMPORTS:
        if found.at_start and found.target in MODULES and found.target != found.module:
            graph[found.module].add(found.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))
