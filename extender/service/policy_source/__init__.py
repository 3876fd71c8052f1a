"""Where the policy comes from, and which one is in force."""
