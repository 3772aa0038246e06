"""For tests of applications: see which events there would have been, and write none."""

from .capturing import capture_audit
from .events import CapturedEvents, Match

__all__ = ["CapturedEvents", "Match", "capture_audit"]
