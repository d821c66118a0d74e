"""The virtual lab: physics that stands in for a rig, in process and as a sound card."""
