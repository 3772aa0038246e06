"""The WSGI application, in a process that SIGTERM ends as the environment says."""

import os
import signal
import sys

from wsgi_app import app  # noqa: F401 - the server takes it from here

from pglog_audit import flush_on_sigterm

if os.environ["SIGTERM"] == "exit":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
else:
    flush_on_sigterm()
