"""Base classes: what the methods of a line of papers have in common."""
