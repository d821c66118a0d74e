"""The command ``sweetspot export``."""
