"""What is known of GPU products, platforms and instance types that publish little themselves."""
