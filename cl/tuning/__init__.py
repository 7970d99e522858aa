"""`clbench tune`: searches the options of a method on held-out training images, by Optuna.

A trial is one choice of values, executed as runs with --sealed on the first tasks, one per seed. No trial can read a
test image. The study is kept in Optuna's own storage; runs, proposals and results are functions of what it holds.
"""
