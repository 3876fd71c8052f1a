"""Whether a pod fits a node state, with which devices, and why not."""
