"""What each page shows, as plain values made of the engine's state."""
