"""Families of metrics that need more than a line: what is shown of pools."""
