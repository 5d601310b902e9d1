"""Mutants: the package is broken on purpose, one small change at a time, to see whether a test notices.

    python tests/mutants run --count 200 --minutes 60 --processes 2

Changes come from syntax trees (`python_changes.py`, `c_changes.py`), and from a list that people wrote because
no rule makes them (`written.toml`). `targets.py` says which files are at stake, `nearest.py` which tests ought to
see a change, `running.py` runs them in processes that have imported torch already, `journal.py` tells what
survived, and `survivors.toml` why some of that is no gap.
"""
