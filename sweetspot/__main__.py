"""``python -m sweetspot``: the same as the command ``sweetspot``."""

from sweetspot.command_line import start

start()
