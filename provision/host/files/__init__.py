"""Reading and writing other people's file systems safely."""
