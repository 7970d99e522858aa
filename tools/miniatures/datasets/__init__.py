"""Miniatures, one module per release of `cl.data.releases`: `write(folder, pen)` writes its published files."""
