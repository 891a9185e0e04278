"""What a workspace must have, whether it has it, and who may do what there: plans, changes, explains."""
