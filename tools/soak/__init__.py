"""The soak: kills runs, takes disks away, damages files, feeds odd input; judges outcomes (docs/reliability.md)."""
