"""Log in a parent and in the children that the argument names; every process logs with its name as the message."""

import concurrent.futures
import logging
import multiprocessing
import os
import sys
import threading
from queue import SimpleQueue

from pglog_audit import AuditHandler, AuditQueueHandler, AuditQueueListener, PostgresHandler, audit

logger = logging.getLogger("audit")


def configure(*, pair: bool = False) -> None:
    """Give the logger its handler; a spawned child has to do it anew."""
    logger.setLevel(logging.INFO)
    if logger.handlers:
        return
    if pair:
        queue: SimpleQueue[object] = SimpleQueue()
        global listener
        listener = AuditQueueListener(queue, PostgresHandler())
        logger.addHandler(AuditQueueHandler(queue))
    else:
        logger.addHandler(AuditHandler())


def log(name: str, count: int = 100) -> None:
    """Log *count* events."""
    for n in range(count):
        logger.info(name, extra=audit("ticket.open", metadata={"n": n}))


def work(name: str) -> None:
    """Log in a child."""
    configure()
    log(name)


def fork(child: "object", *, how: str) -> None:
    """Run *child* in a forked child that ends in the way of *how*, and wait for it."""
    pid = os.fork()
    if pid == 0:
        child()  # type: ignore[operator]
        if how == "os._exit":
            os._exit(0)
        sys.exit()
    assert os.waitpid(pid, 0)[1] == 0


def main(way: str, method: str) -> None:  # noqa: C901 - one branch a way, to be read one by one
    """Do what *way* says."""
    context = multiprocessing.get_context(method)
    if way == "preload":
        configure()
        fork(lambda: log("child"), how="sys.exit")
        log("parent")
    elif way == "preload pair":
        configure(pair=True)
        fork(lambda: log("child"), how="sys.exit")
        log("parent")
    elif way == "nested":
        configure()
        log("parent")
        fork(lambda: (log("child"), fork(lambda: log("grandchild"), how="sys.exit")), how="sys.exit")
        log("parent")
    elif way == "idle children":
        configure()
        log("parent")
        for how in ("os._exit", "sys.exit"):
            fork(lambda: None, how=how)
        log("parent")
    elif way == "busy":
        configure()
        stop = threading.Event()

        def keep_logging() -> None:
            while not stop.is_set():
                log("parent", 10)

        threads = [threading.Thread(target=keep_logging) for _ in range(2)]
        for thread in threads:
            thread.start()
        for n in range(15):
            fork(lambda n=n: log(f"child-{n}", 20), how="sys.exit")
        stop.set()
        for thread in threads:
            thread.join()
    elif way == "process":
        configure()
        log("parent")
        processes = [context.Process(target=work, args=(f"child-{n}",)) for n in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0
        log("parent")
    elif way == "pool":
        configure()
        log("parent")
        pool = context.Pool(2)
        pool.map(work, [f"task-{n}" for n in range(6)], chunksize=1)
        pool.close()
        pool.join()
        log("parent")
    elif way == "executor":
        configure()
        log("parent")
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
            list(executor.map(work, [f"task-{n}" for n in range(6)]))
        log("parent")


if __name__ == "__main__":
    main(*sys.argv[1:])
