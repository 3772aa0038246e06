"""``pglog-audit spool``: the lines that wait on disk, and those that no table took."""

from .group import spool as spool
