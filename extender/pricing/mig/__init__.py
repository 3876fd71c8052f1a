"""Pricing of devices that share counters (MIG, AMD partitions): placements and look-ahead."""
