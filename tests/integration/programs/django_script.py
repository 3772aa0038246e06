"""A script of the Django project: logs what its arguments name as ``alias.verb``, sends a mail, or runs a command."""

import json
import logging
import sys
from io import StringIO

import django
import django_shop
from django.core.mail import EmailMessage
from django.core.mail.backends.locmem import EmailBackend
from django.core.management import call_command

import pglog_audit
from pglog_audit import audit
from pglog_audit.integrations.django import AuditHandler

django.setup()
if sys.argv[1] == "command":
    output = StringIO()
    call_command("pglog_audit", "timeline", "-o", "jsonl", stdout=output)
    print(json.loads(output.getvalue())["action"])
    sys.exit()
if "." not in sys.argv[1]:
    if sys.argv[1] == "mail":
        EmailBackend().send_messages([EmailMessage("Sold", "A ticket", "shop@example.org", ["alice@example.org"])])
    logging.getLogger("audit").info("Sent", extra=audit("mail.send"))
for action in sys.argv[1:] if "." in sys.argv[1] else ():
    alias = action.partition(".")[0]
    logger = logging.getLogger(alias)
    logger.setLevel(logging.INFO)
    options = {name: value for name, value in django_shop.HANDLER.items() if name not in ("class", "database")}
    logger.addHandler(AuditHandler(database=alias, **options))
    logger.info("Logged", extra=audit(action))
pglog_audit.flush(30)
