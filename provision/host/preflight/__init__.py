"""What can be known before anything is changed: whether what this run would do can work on this host.

Each check is a module with `findings(scene)`, which looks only at what the run changes. None of them is
imported where nothing differs.
"""
