"""Mutants: wrong versions of methods, each of which the tests of its method must catch.

The listed mutants (`tools/mutants/*.toml`) are mistakes that change a paper's number or operation: a wrong rate, wrong
statistics, a missing step. The sampled ones are drawn by cosmic-ray from all modules of the methods.
"""
