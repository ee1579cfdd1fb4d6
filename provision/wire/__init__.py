"""The contract between the controller and the host side: one typed record for everything that crosses.

Standard library only, Python 3.8 and up: it travels to hosts in the archive. Both halves make and read these
records, and nothing else crosses.
"""

VERSION = 3
"""Counts the forms that requests and events have had. The archive that a host runs is sent by the controller
that asks, so the two only differ when something is badly wrong.
"""
