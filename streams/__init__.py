"""Stream families: one file each."""
