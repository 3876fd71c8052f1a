"""Verdicts of each node by itself: what its own devices are asked, and its own predictor."""
