"""What the admin port is asked beside explain: decisions, the policy in force."""
