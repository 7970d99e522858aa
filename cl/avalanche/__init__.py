"""Between clbench and avalanche-lib: streams become benchmarks, benchmarks streams, and its strategies run in our loop.

avalanche-lib takes seconds to import: this package imports it in `cl.avalanche.lib` only, and that is imported only
when something of Avalanche is asked for.
"""
