"""Decides: targets, fits, predictions, verification and reports."""
