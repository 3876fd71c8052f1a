"""What a whole `railyard serve` does under attack: a process of its own over a fake API server."""
