"""What the doctor does in a process of its own: see `doctor.isolated`.

Each module reads from stdin what it is to do, and writes what it found, as JSON,
to the file that it is given. It judges nothing: that is for the checks.
"""
