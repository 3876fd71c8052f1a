"""Names of nodes: the order in which requests list them, and where they lie in memory."""
