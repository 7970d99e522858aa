"""Base classes: the common part of families of methods."""
