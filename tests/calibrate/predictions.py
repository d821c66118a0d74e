"""Predictions of made-up responses, in a room that adds nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from sweetspot.calibrate.plant import Gate, Prediction
from sweetspot.calibrate.plant.prediction import RoomPrediction


def dry(
    f: Any, score: Any, polar: Any, azimuths: Any, far_ear: Any, target_db: Any, seconds: float = 1.0
) -> Prediction:
    """Direct sound ``score`` at the ears and ``polar`` around, which is all that there is; gates of so many seconds."""
    how, none = Gate(seconds, 8.0), np.zeros(np.shape(polar))
    ends = np.full(len(score), seconds), np.full(len(polar), seconds)
    whole = RoomPrediction(how, how, score, polar, score, polar, *ends, none, none, np.ones(2))
    return Prediction(f, score, score, polar, azimuths, far_ear, target_db, whole)
