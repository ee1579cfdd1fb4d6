"""What a gateway costs: a server asked directly, and the same through the gateway."""
