"""Who we are to the API server, and whom we trust."""
