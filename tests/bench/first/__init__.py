"""From a bare host to the first answer of vLLM: typed by hand, and applied."""
