"""Datasets on disk: find, download, decode, split. No torch."""
