"""What would have to change for a pod to go to a node: who holds what, and the smallest change."""
