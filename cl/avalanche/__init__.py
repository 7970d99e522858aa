"""The bridge to avalanche-lib: converts streams to its benchmarks and back, and runs its strategies in our loop.

avalanche-lib takes seconds to import. Only `cl.avalanche.lib` imports it, and that module is imported only if something
of Avalanche is used.
"""
