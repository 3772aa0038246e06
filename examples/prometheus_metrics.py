"""
What became of the audit events of a process, for Prometheus to scrape; each process counts and serves its own.

Needs PGLOG_AUDIT_CONNINFO, the table (``pglog-audit init``) and ``pip install prometheus-client``. Then::

    python prometheus_metrics.py & sleep 1; curl http://127.0.0.1:9464/metrics
"""

import logging
import sys
from collections.abc import Iterator

from prometheus_client import REGISTRY, Metric, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

import pglog_audit

COUNTERS = {
    "stored": "Rows made of events.",
    "duplicates": "Lines that were rows already when they were sent again.",
    "spooled": "Lines put to disk because the database did not take them.",
    "rejected": "Lines that the table takes in no form, kept on disk.",
    "unjournaled": "Lines that the journal did not take.",
    "restarts": "Restarts of the writer.",
}
GAUGES = {
    "queued": ("queued", "Events that are neither stored nor on disk."),
    "oldest_unsent": ("oldest_unsent_seconds", "Age of the oldest event that is no row yet; 0 if there is none."),
    "spool_bytes": ("spool_bytes", "Size of segments and rejects on disk; 0 without a spool."),
    "last_stored": ("last_stored_timestamp_seconds", "When a row was last made; 0 if never."),
    "last_error_at": ("last_error_timestamp_seconds", "When the database last took no row; 0 if never."),
}
REASONS = (
    "queue full",
    "refused",
    "conflict",
    "spool",
    "exit",
    "not stored",
    "writer",
)  # there from the start, for alerts on the increase


class AuditCollector(Collector):
    """The numbers of pglog_audit.stats()."""

    def collect(self) -> Iterator[Metric]:
        """Ask for them when Prometheus does: no log call pays for it."""
        stats = pglog_audit.stats()
        for key, text in COUNTERS.items():
            yield CounterMetricFamily(f"audit_{key}", text, value=stats[key])
        lost = CounterMetricFamily("audit_lost", "Events that were lost, by reason.", labels=["reason"])
        for reason, count in (dict.fromkeys(REASONS, 0) | stats["lost"]).items():
            lost.add_metric([reason], count)
        yield lost
        for key, (name, text) in GAUGES.items():
            yield GaugeMetricFamily(f"audit_{name}", text, value=stats[key] or 0)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, handlers=[pglog_audit.AuditHandler()])
    logging.info("Ticket sold", extra=pglog_audit.audit("ticket.sell"))
    REGISTRY.register(AuditCollector())
    server, thread = start_http_server(int(sys.argv[1]) if sys.argv[1:] else 9464, "127.0.0.1")
    print(f"http://127.0.0.1:{server.server_port}/metrics", file=sys.stderr)
    thread.join()
