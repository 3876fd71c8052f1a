"""Pools of nodes: which nodes belong together, what they have free, and how it changed."""
