"""What we keep on a host about our own work: what is ours, what is owed, and who is at it."""
