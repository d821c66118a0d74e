"""The optional library that writes AES69 (SOFA) files."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sweetspot.rigs.errors import BadInput


def sofa_library() -> Any:
    """The module ``sofar``; slow to import.

    Raises
    ------
    BadInput
        It is not installed; states how to install it.
    """
    try:
        return import_module("sofar")
    except ImportError as fault:
        raise BadInput(
            "SOFA files are written with the package sofar, which is not installed: pip install 'sweetspot[sofa]'. "
            "WAV and FRD files do not need it: sweetspot measure export"
        ) from fault
