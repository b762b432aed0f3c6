"""How fast the source is: against Sentry's limits, against a program without dlt, and against stock dlt.

`make bench` measures everything and writes RESULTS.md; `python -m bench --small` is a quick rehearsal.
"""
