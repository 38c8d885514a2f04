from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

WAITS = 300
WAITER = f"""
from throughline.wire.ending import catch_ending

wait = catch_ending()
print("ready", flush=True)
for _ in range({WAITS}):
    wait()
print("ended", flush=True)
"""


def test_signals_in_quick_succession_end_every_wait() -> None:
    with subprocess.Popen([sys.executable, "-c", WAITER], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 60
        try:
            while process.poll() is None:
                assert time.monotonic() < deadline, "it waits for itself"
                os.kill(process.pid, signal.SIGTERM)
                os.kill(process.pid, signal.SIGINT)
        finally:
            process.kill()
        assert process.stdout.read() == b"ended\n"
