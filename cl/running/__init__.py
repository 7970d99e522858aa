"""Executing a plan: the loop over events, evaluation, the record, the folder, the saved learner."""
