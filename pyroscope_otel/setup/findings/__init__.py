"""Judges a set-up: what may be wrong with it, and what to do about it.

Each module answers one question with functions that have no side effects and return findings
with remedies. Do the names match (`names`)? Do credentials cross a network in plain text
(`credentials`)? Do spans exist (`spans`) and leave the process (`exporting`)? Do the settings
produce profiles that can be found (`profiling`)? The start-up log, `manage.py check`,
`manage.py pyroscope` and the doctor only display these findings.
"""
