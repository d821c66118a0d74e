"""The library, compiled once for all its tests."""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path

import pytest

from tests.processor.library import loaded


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources, as an export writes them."""
    return loaded.exported(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="session")
def shared(folder: Path) -> ctypes.CDLL:
    """The sources compiled."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is absent: apt-get install gcc libc6-dev")
    return loaded.built(folder)
