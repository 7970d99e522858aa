"""Datasets on a disk: found, downloaded, decoded, split. No torch."""
