"""Continual-learning methods, one per file; presets/NAME.toml holds the papers' values per benchmark."""
