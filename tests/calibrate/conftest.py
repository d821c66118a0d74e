"""Brings the fixtures of the private audio server in reach of this folder's tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

NAME = "audio_server_fixtures"
if NAME not in sys.modules:
    spec = importlib.util.spec_from_file_location(NAME, Path(__file__).resolve().parents[1] / "server.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[NAME])

jack_server = sys.modules[NAME].jack_server
jack_lab = sys.modules[NAME].jack_lab
pipewire_server = sys.modules[NAME].pipewire_server
in_server = sys.modules[NAME].in_server
crooked_card_text = sys.modules[NAME].crooked_card_text
