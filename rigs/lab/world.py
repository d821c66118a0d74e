"""The one world that the virtual interface, the virtual stage and the sound card share."""
