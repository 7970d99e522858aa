"""Reading and cleaning what is on the disk: the cache and the datasets."""
