"""The physical world: devices, places, units, playing and recording. Imports no other room."""
