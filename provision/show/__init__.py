"""What a person or a program gets to see of a run. Nothing is decided here."""
