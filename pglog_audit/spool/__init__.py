"""Lines on disk: what the database does not take now, and what it takes in no form."""

from .rejects import Reject, read_rejects
from .segment import IS_SUPPORTED
from .segment_reader import BadLine, Taken
from .segment_writer import Fsync
from .spool import Spool
from .status import SpoolStatus, read_status, read_statuses

__all__ = [
    "IS_SUPPORTED",
    "BadLine",
    "Fsync",
    "Reject",
    "Spool",
    "SpoolStatus",
    "Taken",
    "read_rejects",
    "read_status",
    "read_statuses",
]
