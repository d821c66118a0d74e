"""Stages: pure encoding and decoding of each protocol plus a thin transport."""
