"""Continual-learning methods, one per file; presets/NAME.toml holds the papers' options per benchmark."""
