"""The process that serves: from its start to the signal that ends it."""
