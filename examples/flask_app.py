"""
A Flask application whose events carry user, request id and origin.

Needs PGLOG_AUDIT_CONNINFO, the table (``pglog-audit init``) and ``pip install flask``. Then::

    flask --app flask_app run
    curl -i -X POST -H 'X-User: alice' http://127.0.0.1:5000/tickets
"""

import logging
import time
from collections.abc import Iterator

from flask import Flask, Response, request, stream_with_context

from pglog_audit import AuditHandler, audit
from pglog_audit.integrations.flask import AuditTrail

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler(service="tickets"))
trail = AuditTrail()


@trail.user_fields
def user_fields() -> dict[str, object]:
    """Believe a header; yours asks Flask-Login's current_user."""
    return {"user_label": request.headers.get("X-User")}


def sell_ticket() -> tuple[dict[str, object], int]:
    if "X-User" not in request.headers:
        logger.warning("Not signed in", extra=audit("ticket.sell", outcome="denied"))
        return {"error": "sign in first"}, 401
    logger.info("Ticket sold", extra=audit("ticket.sell", metadata={"seats": 2}))
    return {"seats": 2}, 201


def refund_ticket() -> None:
    logger.info("Refund asked for", extra=audit("ticket.refund"))
    raise RuntimeError("the bank does not answer")


def export_tickets() -> Response:
    @stream_with_context
    def lines() -> Iterator[str]:
        number = 0
        try:
            for number in range(1, 10_000):
                yield f"ticket {number}\n"
                time.sleep(0.01)
        finally:
            # Also where the client goes away before the end.
            logger.info("Tickets exported", extra=audit("ticket.export", metadata={"tickets": number}))

    return Response(lines())


def create_app() -> Flask:
    app = Flask(__name__)
    trail.init_app(app)
    app.post("/tickets")(sell_ticket)
    app.post("/refunds")(refund_ticket)
    app.get("/tickets")(export_tickets)
    return app


app = create_app()
