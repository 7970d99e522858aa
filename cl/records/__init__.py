"""What a run writes: counts, metrics, predictions, the record. No torch."""
