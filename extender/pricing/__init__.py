"""What scarce GPU capacity costs: the observed demand, the headroom left for it, and prices."""
