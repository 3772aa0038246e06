"""Log an event when the interpreter is taken down already, and, if asked to, one before; or from a first exit hook."""

import atexit
import logging
import sys

from pglog_audit import AuditHandler, audit

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler())
logging.getLogger("pglog_audit").addHandler(logging.NullHandler())


class Session:
    """What logs when it goes."""

    def __del__(self) -> None:
        """Say that it is over."""
        logger.info("Session over", extra=audit("session.close"))


if "before" in sys.argv:
    logger.info("Session begun", extra=audit("session.open"))
if "hook" in sys.argv:
    atexit.register(lambda: logger.info("Server stopped", extra=audit("server.stop")))
else:
    session = Session()
