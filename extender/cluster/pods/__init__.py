"""What is known of pods: bound, nominated, reserved for, and in gangs."""
