"""The hydraulic network: blood, edges and losses, how flow divides, how uncertain FFR is."""
