"""What runs: under systemd, under a script, in a container; and why it does not."""
