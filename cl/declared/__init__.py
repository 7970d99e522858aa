"""Streams that are declared in TOML: what a declaration may say, and how its stream is built."""
