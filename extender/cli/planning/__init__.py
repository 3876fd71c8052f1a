"""The commands that plan ahead: capacity, simulate, and what they read: dump, record."""
