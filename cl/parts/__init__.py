"""Building blocks of methods, each usable alone; parts hold state, give losses and data sources, and run no loops."""
