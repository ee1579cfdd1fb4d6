"""The same work done by provision and by its peers, side by side on real hosts."""
