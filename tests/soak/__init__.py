"""
Processes that log for minutes, while they and their server are killed; and the proof of what came of it.

Run ``python -m tests.soak --minutes 2`` in a clone, on Linux; ``--help`` tells the rest.
"""
