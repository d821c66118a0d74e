"""sweetspot: measurement and calibration of loudspeakers with several drivers, per unit."""

from importlib.metadata import version as _version

__version__ = _version("sweetspot")
