"""API objects as typed values, and what their fields mean."""
