"""Preemption: which pods to evict, and what was agreed."""
