"""Services that run over several hosts."""
