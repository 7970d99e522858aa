"""Datasets read from the files that their authors published, packed or unpacked."""
