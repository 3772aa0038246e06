"""
A FastAPI application whose events carry user, request id and origin.

Needs PGLOG_AUDIT_CONNINFO, the table (``pglog-audit init``) and ``pip install fastapi uvicorn``. Then::

    uvicorn fastapi_app:app
    curl -i -X POST -H 'X-User: alice' http://127.0.0.1:8000/tickets
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import StreamingResponse

from pglog_audit import AuditHandler, audit, bind_audit_context
from pglog_audit.integrations.starlette import add_audit_middleware

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler(service="tickets"))


def sign_in(x_user: Annotated[str | None, Header()] = None) -> str | None:
    """Believe a header; yours asks the session."""
    if x_user:
        bind_audit_context(user_label=x_user)
    return x_user


app = FastAPI(dependencies=[Depends(sign_in)])
add_audit_middleware(app)


@app.post("/tickets", status_code=201)
def sell_ticket(user: Annotated[str | None, Depends(sign_in)]) -> dict[str, int]:
    if not user:
        logger.warning("Not signed in", extra=audit("ticket.sell", outcome="denied"))
        raise HTTPException(401, "sign in first")
    logger.info("Ticket sold", extra=audit("ticket.sell", metadata={"seats": 2}))
    return {"seats": 2}


@app.post("/refunds")
def refund_ticket() -> None:
    logger.info("Refund asked for", extra=audit("ticket.refund"))
    raise RuntimeError("the bank does not answer")


@app.get("/tickets")
async def export_tickets() -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        number = 0
        try:
            for number in range(1, 10_000):
                yield f"ticket {number}\n"
                await asyncio.sleep(0.01)
        finally:
            # Also where the client goes away before the end.
            logger.info("Tickets exported", extra=audit("ticket.export", metadata={"tickets": number}))

    return StreamingResponse(lines())
