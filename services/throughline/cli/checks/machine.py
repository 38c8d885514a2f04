"""The machine: Python, packages, processors, memory, graphics card, clock, and the ports that `up` takes."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from throughline.cli.checks.finding import Examined, Finding, missing, ok, warning
from throughline.cli.deployment import FILE_NAME
from throughline.cli.ports import choose_ports
from throughline.cli.stack import LISTENERS
from throughline.domain.errors import FailedPrecondition

_GIB = 2**30
_LEAST_MEMORY = 4 * _GIB
_LEAST_SHARED = 256 * 2**20
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Triton's Python backend exchanges tensors
_UNSYNCHRONISED = 0x40
_OFFSET_WARNED_MS = 500.0


def check_machine(examined: Examined) -> Iterator[Finding]:
    """Everything about the machine itself."""
    yield python_version(sys.version_info[:2])
    yield packages()
    yield processors()
    yield memory()
    yield shared_memory(SHARED_MEMORY)
    yield graphics_card(examined.needs_gpu)
    yield clock()
    yield ports(examined)


def python_version(version: tuple[int, ...]) -> Finding:
    found = ".".join(map(str, version))
    if (3, 11) <= version < (3, 14):
        return ok("Python", found)
    return missing("Python", found, "run Throughline on Python 3.11, 3.12 or 3.13; Triton's stubs end there")


def packages() -> Finding:
    """Whether what the package asks for is installed, in releases that it can work with."""
    wanted = [Requirement(text) for text in metadata.requires("throughline") or ()]
    problems = []
    for each in wanted:
        if each.marker is not None and not each.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(each.name)
        except metadata.PackageNotFoundError:
            problems.append(f"{each.name} is not installed")
            continue
        if not each.specifier.contains(version, prereleases=True):
            problems.append(f"{each.name} {version} is not {each.specifier}")
    if problems:
        return missing(
            "packages", "; ".join(problems), "install from the lock file: uv sync (or pip install throughline)"
        )
    return ok("packages", f"throughline {metadata.version('throughline')}, {len(wanted)} requirements met")


def processors() -> Finding:
    count = len(os.sched_getaffinity(0))
    if count < 2:
        return warning(
            "processors", str(count), "give the machine 2 or more; decoding and inference run beside each other"
        )
    return ok("processors", str(count))


def memory() -> Finding:
    lines = Path("/proc/meminfo").read_text().splitlines()
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    total, free = kib["MemTotal"] * 1024, kib["MemAvailable"] * 1024
    found = f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB free"
    if total < _LEAST_MEMORY:
        return warning("memory", found, "4 GiB are comfortable for all services on one machine")
    return ok("memory", found)


def shared_memory(folder: Path) -> Finding:
    what = f"shared memory {folder}"
    if not os.access(folder, os.W_OK):
        return missing(what, "can't be written to", "mount a tmpfs there; Triton's Python backend needs it")
    size = shutil.disk_usage(folder).total
    if size < _LEAST_SHARED:
        return warning(what, f"{size / 2**20:.0f} MiB", "raise it to 256 MiB or more (docker run --shm-size=1g)")
    return ok(what, f"{size / 2**20:.0f} MiB")


def graphics_card(needed: bool) -> Finding:
    what = "graphics card"
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        found = "none (no nvidia-smi)" if isinstance(error, FileNotFoundError) else f"none ({error})"
        remedy = "install NVIDIA's driver and give the container the card, or serve the CPU models (THROUGHLINE_TRITON_CONFIG=cpu)"
        return missing(what, found, remedy) if needed else ok(what, f"{found}; the models run on the processors")
    return ok(what, "; ".join(answer.stdout.strip().splitlines()))


class _Timex(ctypes.Structure):
    """struct timex of <sys/timex.h>, as far as it is read."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def clock() -> Finding:
    """Whether the machine's clock can be right, and whether the kernel says that something keeps it so."""
    built = Path(__file__).stat().st_mtime
    if time.time() < built - 86_400:
        now = time.strftime("%Y-%m-%d", time.gmtime())
        return missing("clock", f"says {now}, before this release was installed", "set the clock, by NTP")
    state = _Timex()
    if ctypes.CDLL(None).adjtimex(ctypes.byref(state)) < 0:
        return warning("clock", "the kernel doesn't tell whether it is kept right", "see that NTP runs on the host")
    error_ms = state.maxerror / 1000
    if state.status & _UNSYNCHRONISED:
        return warning("clock", "nothing keeps it right", "run an NTP client (chrony, systemd-timesyncd) on the host")
    if error_ms > _OFFSET_WARNED_MS:
        return warning("clock", f"may be {error_ms:.0f} ms off", "see why the host's NTP client has lost its servers")
    return ok("clock", f"kept by NTP, at most {error_ms:.1f} ms off")


def ports(examined: Examined) -> Finding:
    what = f"ports {examined.port} to {examined.port + len(LISTENERS) - 1}"
    if (examined.home / FILE_NAME).exists():
        return ok(what, "taken by the deployment that runs")
    try:
        choose_ports(LISTENERS, examined.port)
    except FailedPrecondition as error:
        return missing(
            what, str(error), "stop what listens there, or start `throughline up --port` with another number"
        )
    return ok(what, "free")
