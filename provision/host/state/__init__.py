"""What provision notes on a host: what it has made, what is owed, and who is working."""
