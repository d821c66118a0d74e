"""The short form of the fault injection: nothing lost, no traceback, no hang, nothing accepted that is damaged."""

from __future__ import annotations

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
