"""The production line: a unit's cycle from capture to record, its state, and its page."""
