"""How fast it is, measured against what a user would pick instead: ``python -m tests.benchmarks``."""
