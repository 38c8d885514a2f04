"""A process that works on pictures keeps its memory, and works on each in one thread."""

from __future__ import annotations

import subprocess
import sys

_WORK = """
import resource
import threading
import cv2
import numpy as np
from throughline.media.tuning import tune_for_pictures

def frames():
    for _ in range(20):
        held = [np.ones(3 << 20, np.uint8) for _ in range(8)]

def in_turn():
    for _ in range(4):
        thread = threading.Thread(target=frames)
        thread.start()
        thread.join()

if {tuned}:
    tune_for_pictures()
in_turn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
in_turn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, cv2.getNumThreads())
"""


def _faults_and_threads(*, tuned: bool) -> tuple[int, int]:
    command = [sys.executable, "-c", _WORK.format(tuned=tuned)]
    faults, threads = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(faults), int(threads)


def test_memory_of_pictures_is_kept_for_the_next_ones() -> None:
    faults, threads = _faults_and_threads(tuned=True)
    assert threads == 1
    assert faults < _faults_and_threads(tuned=False)[0] / 10
