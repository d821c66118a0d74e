"""The processor: upmix, filter matrix and guard, offline and live."""
