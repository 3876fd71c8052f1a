"""What the page counts and draws of all nodes together: pools, GPUs, the map, history."""
