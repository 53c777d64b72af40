"""The programs that the doctor runs in separate processes; see `doctor.isolated`.

Each program reads its task from stdin as JSON and writes what it observes, also as JSON, to
the file named on its command line. It judges nothing: the checks do that.
"""
