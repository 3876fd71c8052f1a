"""What is known of GPU products and machine types that publish little themselves."""
