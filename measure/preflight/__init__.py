"""What is done before a session: the pre-flight check of a rig, and the calibration of its microphones."""
