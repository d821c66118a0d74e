"""Names of the processors for a verification, apart from what runs them, which ``calibrate`` need not load."""

from __future__ import annotations

OWN, DEVICE = "engine", "device"
THROUGH = (OWN, "brutefir", "jconvolver", "c", "lv2", "pipewire", "camilladsp", DEVICE)
"""The built-in engine, the engines of :data:`live.LIVE`, and the device itself."""
