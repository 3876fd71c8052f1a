"""A checked tree to closures, and their evaluation within limits."""
