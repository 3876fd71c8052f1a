"""How many more pods of a shape fit, where, and what blocks the next one."""
