"""A replay of kube-scheduler's DRA allocator: exact, and bounded in steps."""
