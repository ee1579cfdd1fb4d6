"""dpkg and apt-get."""
