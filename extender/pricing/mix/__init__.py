"""The demand mix: which pods were seen of late, and how much each kind of demand weighs."""
