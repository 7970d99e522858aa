"""Tiny copies of published datasets: the real file names, folders, archives and annotations, with generated pictures.

`python -m tools.miniatures FOLDER [NAME ...]` writes them into FOLDER/NAME, where clbench finds them if FOLDER is in
CLBENCH_DATA_PATH.
"""
