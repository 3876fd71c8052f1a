"""What was decided of late: each decision with its reasons, and what became of it."""
