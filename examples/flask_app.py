"""
A Flask application whose events carry user, request id and origin.

Needs PGLOG_AUDIT_CONNINFO, the table (``pglog-audit init``) and ``pip install flask``. Then::

    flask --app flask_app run
    curl -i -X POST -H 'X-User: alice' http://127.0.0.1:5000/tickets
"""

import logging

from flask import Flask, g, request

from pglog_audit import AuditHandler, audit, bind_audit_context
from pglog_audit.integrations.wsgi import AuditMiddleware

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler(service="tickets"))

app = Flask(__name__)
app.wsgi_app = AuditMiddleware(app.wsgi_app)


@app.before_request
def sign_in() -> None:
    """Believe a header; yours asks the session."""
    g.user = request.headers.get("X-User")
    if g.user:
        bind_audit_context(user_label=g.user)


@app.post("/tickets")
def sell_ticket() -> tuple[dict[str, object], int]:
    if not g.user:
        logger.warning("Not signed in", extra=audit("ticket.sell", outcome="denied"))
        return {"error": "sign in first"}, 401
    logger.info("Ticket sold", extra=audit("ticket.sell", metadata={"seats": 2}))
    return {"seats": 2}, 201
