"""What models say of themselves, on disk or on a hub: read by the controller and by hosts alike.

Standard library only, Python 3.8 and up: it travels to hosts in the archive.
"""
