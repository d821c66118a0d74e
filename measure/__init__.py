"""Measurement: sweeps out, responses in, judged and stored."""
