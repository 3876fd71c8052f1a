"""What the page draws of all nodes together: the map, and the chart of the history."""
