"""Calibration: targets, filter design, prediction, verification and reports."""
