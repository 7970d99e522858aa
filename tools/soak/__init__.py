"""The soak: kills runs, damages stored files and feeds odd input, and judges every outcome (docs/reliability.md)."""
