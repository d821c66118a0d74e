"""The command ``calibrate`` with its options, apart from what does it, which loads meanwhile."""
