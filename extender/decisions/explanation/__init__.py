"""Why each node won or lost, in words and numbers."""
