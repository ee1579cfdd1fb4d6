"""What a person or a program gets to see of a run. Everything here consumes events and decides nothing."""
