"""Choices and ranges of options, apart from what computes with them: words are read without NumPy."""

from __future__ import annotations

METHODS = ("soft-projection", "low-latency", "projection", "similarity", "pca", "off")
"""Methods of the upmix."""

BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
"""Sample formats of files, with their bytes a sample."""

SUBTYPES = tuple(BYTES)

GAIN_DB = (-60.0, 24.0)
"""Range of a listener's gain, dB."""
