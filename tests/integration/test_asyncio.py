"""Coroutines that log: the loop is never held up, and who acts is who acts in each task."""

import asyncio
from uuid import uuid4

import psycopg
import pytest

from pglog_audit import audit, audit_context
from pglog_audit.line_queue import POLL_INTERVAL
from tests.support import assert_exact, configure, counts, flush, log, run_program, stats, wait_until


def test_a_full_queue_holds_up_no_other_task(database, monkeypatch):
    """While the database answers and there is no room, a call inside the loop does not wait, and one outside does."""
    pauses = []
    logger = configure(database.writer, capacity=8, block_timeout=0.05)

    async def serve():
        log(logger, 20)

    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        log(logger, 1)
        wait_until(lambda: database.rows("SELECT FROM pg_locks WHERE NOT granted"))
        monkeypatch.setattr("pglog_audit.line_queue.time.sleep", pauses.append)
        asyncio.run(serve())
        assert pauses == []
        log(logger, 1)
        assert set(pauses) == {POLL_INTERVAL}
        monkeypatch.undo()
    assert stats(logger)["lost"] == {"queue full": 13}


def test_a_cancelled_task_keeps_its_row(database):
    """What a task logged before it was cancelled, and while it was, is a row each."""
    logger = configure(database.writer)

    async def work():
        logger.info("Begun", extra=audit("job.begin"))
        try:
            await asyncio.Event().wait()
        finally:
            logger.info("Cancelled", extra=audit("job.cancel"))

    async def main():
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    flush(logger)
    assert [row["action"] for row in database.rows()] == ["job.begin", "job.cancel"]


def test_a_task_that_asyncio_run_cancels_at_its_end_keeps_its_row(database):
    """The end of the loop is no end of the writer, which another loop goes on with."""
    logger = configure(database.writer)

    async def main(name):
        async def linger():
            try:
                await asyncio.Event().wait()
            finally:
                logger.info(name, extra=audit("job.cancel"))

        main.task = asyncio.create_task(linger())
        await asyncio.sleep(0)

    for name in ("first", "second"):
        asyncio.run(main(name))
    flush(logger)
    assert [row["message"] for row in database.rows()] == ["first", "second"]
    assert_exact(database, 2)


def test_tasks_of_a_group_act_for_different_users(database):
    """A field that a task binds stands on its own events; one around the group stands on all."""
    logger = configure(database.writer)
    request = str(uuid4())

    async def work(name):
        with audit_context(user_label=name):
            await asyncio.sleep(0)
            logger.info("Worked", extra=audit("work.do", metadata={"name": name}))

    async def main():
        with audit_context(request_id=request):
            async with asyncio.TaskGroup() as group:
                for n in range(20):
                    group.create_task(work(f"user-{n}"))

    asyncio.run(main())
    flush(logger)
    rows = database.rows()
    assert {row["metadata"]["name"] for row in rows} == {f"user-{n}" for n in range(20)}
    assert all(row["user_label"] == row["metadata"]["name"] for row in rows)
    assert {row["request_id"] for row in rows} == {request}


def test_a_program_that_ends_with_asyncio_run_loses_nothing(database):
    """What tasks, and threads of asyncio.to_thread, logged last is a row when the process is over."""
    done = run_program("asyncio_app.py", database.writer)
    assert (done.returncode, done.stderr) == (0, "")
    assert_exact(database, 60)


def test_flush_in_a_thread_lets_the_loop_go_on(database):
    """Whoever awaits ``asyncio.to_thread(flush)`` sees the other tasks run while the database is waited for."""
    logger = configure(database.writer)
    handler = logger.handlers[0]

    async def main(owner):
        log(logger, 5)
        waiting = asyncio.create_task(asyncio.to_thread(handler.flush, 60))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        owner.rollback()
        return await waiting

    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        assert asyncio.run(main(owner)) == 0
    assert counts(database) == (5, 5)
