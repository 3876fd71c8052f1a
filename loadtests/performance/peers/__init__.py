"""What Railyard is measured beside: services that answer the same calls and judge nothing."""
