"""Everything except a method's own mathematics: fit, journal, encodings, batches, costs, state."""
