"""The demand mix: the recent pods, and how much each kind of demand weighs."""
