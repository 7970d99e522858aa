"""Inspection and cleaning of the files on disk: the cache and the datasets."""
