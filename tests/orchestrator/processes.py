"""Orchestrators as processes of their own, to be killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tests.orchestrator.bench import Client, settings_for
from tests.orchestrator.scripted import wait_until
from throughline.orchestrator.__main__ import build
from throughline.wire.ending import catch_ending
from throughline.wire.service import serve

FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["throughline.orchestrator.__main__", "tests.orchestrator.processes"])


def serve_orchestrator(folder: Path, services: str, address_file: Path, changes: dict[str, Any]) -> None:
    """The whole of the child process."""
    settings = settings_for(folder, services, address_file=address_file, **changes)
    wait_for_end = catch_ending()
    server = serve([build(settings)], settings)
    wait_for_end()
    server.stop()


class Process:
    """An orchestrator as a process; each start has the database and the executor id of the one before."""

    def __init__(self, folder: Path, services: str, **changes: Any) -> None:
        self.folder, self.services, self.changes = folder, services, changes
        self.starts = 0
        self.process: ForkServerProcess
        self.client: Client
        self.start()

    def start(self) -> None:
        self.starts += 1
        address_file = self.folder / f"address-{self.starts}"
        arguments = (self.folder, self.services, address_file, self.changes)
        self.process = FORKSERVER.Process(target=serve_orchestrator, args=arguments)
        self.process.start()
        wait_until(address_file.exists, what="the orchestrator did not start")
        self.client = Client(address_file.read_text())

    def signal(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.client.channel.close()

    def restart(self) -> None:
        self.kill()
        self.start()
