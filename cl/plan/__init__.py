"""What a run will do, fully resolved before torch is imported or data is read."""

from cl.plan.grids import Grid, grid
from cl.plan.plan import Plan, load_plan, make_plan
from cl.plan.run_options import DEFAULT_BACKBONE, DEFAULT_SEED, RunOptions

__all__ = ["DEFAULT_BACKBONE", "DEFAULT_SEED", "Grid", "Plan", "RunOptions", "grid", "load_plan", "make_plan"]
