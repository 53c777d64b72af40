"""The judgements: what may be wrong with a set-up, and what to do about it.

Each question has one answer here, a function without side effects that returns
findings, each with its remedy: do the names match (`names`), do credentials cross
a network in the clear (`credentials`), do spans exist (`spans`) and leave the
process (`exporting`), do the settings give profiles that can be found (`profiling`).
The start-up's log, `manage.py check`, `manage.py pyroscope` and the doctor only
show them.
"""
