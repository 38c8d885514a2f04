"""Generates the stubs in services/throughline/v1 from protos/, or checks that they are fresh."""

from __future__ import annotations

import argparse
import sys
import sysconfig
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent.parent
PROTOS = ROOT / "protos"
STUBS = ROOT / "services"


def generate(out: Path) -> None:
    """Write the stubs of every proto below `out`; raise RuntimeError where protoc refuses one."""
    plugins = Path(sysconfig.get_path("scripts"))
    arguments = [
        "protoc",
        f"-I{PROTOS}",
        f"-I{files('grpc_tools') / '_proto'}",
        f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}",
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
        *(str(proto) for proto in sorted(PROTOS.rglob("*.proto"))),
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError(f"protoc refused {PROTOS}; its messages stand above")
    (out / "throughline/v1/__init__.py").write_text('"""Generated from protos/throughline/v1; do not edit."""\n')


def stale(fresh: Path) -> list[str]:
    """Names of stubs that differ between `fresh` and the committed ones, either way."""
    names = {path.name for root in (fresh, STUBS) for path in (root / "throughline/v1").glob("*.py*")}
    return sorted(name for name in names if _text(fresh, name) != _text(STUBS, name))


def _text(root: Path, name: str) -> str | None:
    path = root / "throughline/v1" / name
    return path.read_text() if path.exists() else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the stubs are stale")
    if not parser.parse_args().check:
        generate(STUBS)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        differing = stale(Path(folder))
    if differing:
        print(f"stale stubs: {', '.join(differing)}; run `make stubs` and commit the result", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
