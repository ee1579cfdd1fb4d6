"""Python environments: interpreters, pip, and what is installed without asking it."""
