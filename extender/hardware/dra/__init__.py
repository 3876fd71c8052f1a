"""ResourceSlices to devices and pools, in the allocator's order."""
