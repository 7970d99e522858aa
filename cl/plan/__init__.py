"""What a run will do, completely resolved, before anything heavy is imported or any data is touched."""

from cl.plan.grids import Grid, grid
from cl.plan.plan import Plan, load_plan, make_plan
from cl.plan.run_options import DEFAULT_BACKBONE, DEFAULT_SEED, RunOptions

__all__ = ["DEFAULT_BACKBONE", "DEFAULT_SEED", "Grid", "Plan", "RunOptions", "grid", "load_plan", "make_plan"]
