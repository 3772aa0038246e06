"""The application of the module that the environment names, after an event of the process that imports it."""

import importlib
import logging
import os

from pglog_audit import audit

app = importlib.import_module(os.environ["APP"]).app
logging.getLogger("audit").info("Loaded", extra=audit("site.load"))
