"""The short form of the fault injection: nothing lost, no traceback, no hang, nothing accepted that is damaged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_short_form_of_the_fault_injection() -> None:
    suite = Path(__file__).with_name("suite.py")
    done = subprocess.run(
        [sys.executable, suite, "--short"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "SHOW": "1"},
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"
    assert "flips: session.h5" in done.stdout


HANGS = """
import json, time
import suite

def computes():
    while True:
        pass

def waits():
    time.sleep(1.5)
    return 0

found = [suite.child(computes, cpu_seconds=1), suite.child(waits, cpu_seconds=1), suite.child(waits, seconds=0.3)]
print(json.dumps(found))
"""


def test_a_busy_machine_makes_no_hang_but_endless_computing_and_waiting_do() -> None:
    """Longer than the limit of computing, but by waiting for its turn: no hang."""
    done = subprocess.run(
        [sys.executable, "-c", HANGS], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["hangs", 0, "hangs"]
