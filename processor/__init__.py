"""Acts: upmix, filter matrix and guard, offline and live."""
