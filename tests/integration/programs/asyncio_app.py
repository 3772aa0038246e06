"""Log from tasks, and from threads that they wait for, until asyncio.run() is over."""

import asyncio
import logging

from pglog_audit import AuditHandler, audit

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler(flush_interval=600))


def log(n: int) -> None:
    """Log an event."""
    logger.info("Worked", extra=audit("work.do", metadata={"n": n}))


async def work(n: int, waits: asyncio.Semaphore) -> None:
    """Log here, in a thread, and when the loop cancels what still runs."""
    log(n)
    await asyncio.to_thread(log, n)
    try:
        waits.release()
        await asyncio.Event().wait()
    finally:
        log(n)


async def main() -> None:
    """Leave tasks behind that wait for ever."""
    waits = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(work(n, waits)) for n in range(20)]
    for _ in tasks:
        await waits.acquire()


asyncio.run(main())
