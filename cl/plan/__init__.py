"""What a run will do, completely resolved, before anything heavy is imported or any data is touched."""

from cl.plan.plan import DEFAULT_BACKBONE, DEFAULT_SEED, Plan, grid, load_plan, make_plan

__all__ = ["DEFAULT_BACKBONE", "DEFAULT_SEED", "Plan", "grid", "load_plan", "make_plan"]
