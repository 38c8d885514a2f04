"""Becomes the command it is given, and has the kernel stop that when the launcher dies. Run as a script; standard library only.

    python tether.py LAUNCHER_PID COMMAND [ARGUMENT...]

A script between the two, since the setting must be made in the child before the command starts, where a launcher with
threads may not run Python code. The kernel ties it to the launching *thread*: that one has to live as long as the command.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(launcher: int, command: list[str]) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != launcher:  # it died before the line above
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
