"""Many units at once: fit and verify, keep the results in one table, and state what the units have in common."""
