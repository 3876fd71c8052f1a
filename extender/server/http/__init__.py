"""HTTP under limits: ports, connections, bodies and TLS."""
