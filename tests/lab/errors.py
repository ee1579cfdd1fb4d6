"""The one exception of the lab."""


class LabError(Exception):
    """What went wrong in the lab, in one sentence for a person."""
