"""GPUs: who holds their memory, and whose turn it is to start on them."""
