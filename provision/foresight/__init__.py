"""Whether services can run on a host, judged before anything is changed there. Pure: no I/O, no clock.

`judge` puts together what a host has told (`Surveyed`), what its playbooks declare, and what each kind of
service asks of a GPU (`Kind.demand`). Impossible is an error, doubtful a warning with its range. What is not
known is said to be so, and stops nothing.
"""
