"""Makes and locates the environment that Triton runs in, apart from Throughline's own. Starting the server is not done here.

`python -m throughline.perception.triton.environment` prints where it is and makes it first if need be.

Models exchange tensors with Triton by DLPack, never as NumPy arrays: the backend's stub was compiled against NumPy 1, gives
empty arrays on NumPy 2, and NumPy 1 has no wheels for Python 3.13.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from throughline.domain.errors import DependencyUnavailable, FailedPrecondition

LAYOUT_REVISION = 1
SUPPORTED = ("3.11", "3.12", "3.13")
MAKE_ENVIRONMENT = "make it with `python -m throughline.perception.triton.environment` (some 250 MB are downloaded)"
_READY = "ready.json"

_log = logging.getLogger(__name__)
_INSPECT = """
import json, sys, sysconfig
v = sysconfig.get_config_var
name = v("INSTSONAME") or ""
print(json.dumps({"version": "%d.%d" % sys.version_info[:2], "library": name,
                  "folders": [f for f in (v("LIBDIR"), v("LIBDIR") and v("LIBDIR") + "/" + (v("MULTIARCH") or "")) if f]}))
"""


@dataclass(frozen=True, slots=True)
class TritonEnvironment:
    """A finished environment: `root` is a virtual environment, `python_version` such as `3.11`.

    `library_folders` holds what the dynamic loader needs beside the system's own folders.
    """

    root: Path
    python_version: str
    library_folders: tuple[Path, ...]

    @property
    def python(self) -> Path:
        return self.root / "bin" / "python3"

    @property
    def site_packages(self) -> Path:
        return self.root / "lib" / f"python{self.python_version}" / "site-packages"

    @property
    def server(self) -> Path:
        return self.site_packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"

    @property
    def backends(self) -> Path:
        """For `--backend-directory`; its Python backend carries the stub of this environment's Python."""
        return self.site_packages / "pytriton" / "tritonserver" / "backends"

    def variables(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """`inherited` with what the server needs. The stub isolates its interpreter (it ignores PYTHONPATH and PYTHONHOME)
        and finds its packages through the first `python3` on PATH."""
        variables = {name: value for name, value in inherited.items() if not name.startswith("PYTHON")}
        variables["PATH"] = os.pathsep.join([str(self.root / "bin"), inherited.get("PATH", os.defpath)])
        folders = [str(folder) for folder in self.library_folders]
        variables["LD_LIBRARY_PATH"] = os.pathsep.join([*folders, *filter(None, [inherited.get("LD_LIBRARY_PATH")])])
        variables["PYTHONUNBUFFERED"] = "1"
        return variables


def default_home() -> Path:
    """THROUGHLINE_TRITON_HOME, else `.triton` in the source checkout, else in the current folder."""
    if chosen := os.environ.get("THROUGHLINE_TRITON_HOME"):
        return Path(chosen).expanduser().absolute()
    checkout = Path(__file__).absolute().parents[4]
    return (checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()) / ".triton"


def default_interpreter() -> Path:
    """THROUGHLINE_TRITON_PYTHON, else the interpreter that the running one's environment stands on."""
    return Path(os.environ.get("THROUGHLINE_TRITON_PYTHON") or str(getattr(sys, "_base_executable", sys.executable)))


def ensure_environment(home: Path | None = None, interpreter: Path | None = None) -> TritonEnvironment:
    """The environment below `home`, made on the first call (some 250 MB are downloaded). Safe in several processes at once:
    one makes it, the others wait; one that was killed on the way is made again.

    Raises FailedPrecondition when this Python cannot carry Triton, DependencyUnavailable when the install fails.
    """
    home, interpreter = home or default_home(), (interpreter or default_interpreter()).resolve()
    environment, pins = _planned(home, interpreter)
    root, marker = environment.root, environment.root / _READY
    if marker.is_file():
        return environment
    with _locked(home):
        if not marker.is_file():
            shutil.rmtree(root, ignore_errors=True)
            _log.info("making Triton's environment in %s (once; some 250 MB are downloaded)", root)
            _install(environment, interpreter, pins)
            marker.write_text(json.dumps({"python": str(interpreter), "pins": pins.splitlines()}, indent=2))
    return environment


def existing_environment(home: Path | None = None, interpreter: Path | None = None) -> TritonEnvironment:
    """The environment below `home`, as it was made before. Raises FailedPrecondition where it was not, or this Python can't carry it."""
    home, interpreter = home or default_home(), (interpreter or default_interpreter()).resolve()
    environment, _ = _planned(home, interpreter)
    if not (environment.root / _READY).is_file():
        raise FailedPrecondition(f"Triton's environment {environment.root} was not made yet; {MAKE_ENVIRONMENT}")
    return environment


def _planned(home: Path, interpreter: Path) -> tuple[TritonEnvironment, str]:
    """The environment as it is or will be, and what is installed into it."""
    version, libraries = _inspect(interpreter)
    pins = resources.files(__package__).joinpath("requirements.txt").read_text()
    digest = hashlib.sha256(f"{LAYOUT_REVISION}\n{interpreter}\n{pins}".encode()).hexdigest()[:12]
    return _environment(home / f"python{version}-{digest}", version, libraries), pins


def _environment(root: Path, version: str, libraries: tuple[Path, ...]) -> TritonEnvironment:
    site_packages = root / "lib" / f"python{version}" / "site-packages"
    return TritonEnvironment(root, version, (site_packages / "nvidia_pytriton.libs", *libraries))


def _inspect(interpreter: Path) -> tuple[str, tuple[Path, ...]]:
    """Version of `interpreter` and the folder of its shared library, which the stub is linked against."""
    answer = subprocess.run([interpreter, "-I", "-c", _INSPECT], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise FailedPrecondition(f"{interpreter} does not run: {answer.stderr.strip()[-500:]}")
    found: dict[str, Any] = json.loads(answer.stdout)
    version: str = found["version"]
    if version not in SUPPORTED:
        raise FailedPrecondition(
            f"Triton's Python backend has no stub for Python {version} ({interpreter}); "
            f"set THROUGHLINE_TRITON_PYTHON to one of {', '.join(SUPPORTED)}"
        )
    folders = tuple(
        Path(folder) for folder in found["folders"] if (Path(folder) / f"libpython{version}.so.1.0").is_file()
    )
    if not folders and version != "3.13":  # the wheel carries 3.13's library itself
        raise FailedPrecondition(
            f"{interpreter} has no shared libpython{version}.so.1.0, which Triton's stub is linked against; install it "
            f"(Debian: libpython{version}) or set THROUGHLINE_TRITON_PYTHON to a Python that has it, such as one of `uv python install`"
        )
    return version, folders[:1]


def _install(environment: TritonEnvironment, interpreter: Path, pins: str) -> None:
    root = environment.root
    root.mkdir(parents=True)
    requirements = root / "requirements.txt"
    requirements.write_text(pins)
    uv = shutil.which("uv")
    if uv:
        _run([uv, "venv", "--quiet", "--allow-existing", "--no-project", "--python", str(interpreter), str(root)])
        install = [uv, "pip", "install", "--quiet", "--python", str(environment.python)]
    else:
        _run([str(interpreter), "-m", "venv", str(root)])
        install = [str(environment.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*install, "--no-deps", "--requirement", str(requirements)])
    triton = environment.backends.parent
    stub = triton / "python_backend_stubs" / environment.python_version / "triton_python_backend_stub"
    shutil.copy2(stub, environment.backends / "python" / stub.name)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DependencyUnavailable(
            f"Triton's environment could not be made: `{' '.join(command)}` ended with {done.returncode}: "
            f"{done.stderr.strip()[-2000:]}; see to the network or the package index, then try again"
        )


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One process at a time; the kernel lets go when the holder dies."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    print(ensure_environment().root)
