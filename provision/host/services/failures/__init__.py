"""Why services end and do not answer: how they ended, the first failure in a log, and the way out."""
