"""Many units: fit and verify, keep the results in one table, and compute their statistics."""
