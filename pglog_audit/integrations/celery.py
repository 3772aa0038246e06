"""
Celery: what a task logs belongs to the request, the user and the tenant that asked for it.

Once, where both the application that sends tasks and the worker import it::

    app = Celery("shop", broker="redis://")
    carry_audit_context()
"""

from collections.abc import Mapping
from typing import Any

from .. import libraries
from ..context import current_context, current_field, request_context
from ..request_id import is_id

try:
    from celery import signals
except ImportError as error:
    raise ImportError("pglog_audit.integrations.celery needs Celery: pip install 'celery>=5.4'") from error

FIELDS = ("request_id", "user_id", "user_label", "impersonator_id", "tenant_id")
"""What travels with a task."""

_HEADER = "pglog_audit"
_SCOPE = "pglog_audit_scope"


def carry_audit_context() -> None:
    """
    Let the fields of who acts travel with each task, to the tasks that it sends in turn, and to those after it.

    A task that nobody's request asked for, such as one of beat, has the id of its first task for a request id. What
    :func:`pglog_audit.bind_audit_context` adds in a task ends with it. An eager task is a part of its caller's request.
    A second call does nothing.
    """
    signals.before_task_publish.connect(_send, weak=False, dispatch_uid=_HEADER)
    signals.task_prerun.connect(_begin, weak=False, dispatch_uid=_HEADER)
    signals.task_postrun.connect(_end, weak=False, dispatch_uid=_HEADER)


def _send(headers: dict[str, Any] | None = None, **_: object) -> None:
    context = current_context()
    carried = {name: _portable(context[name]) for name in FIELDS if context.get(name) is not None}
    ids = (current_field("request_id"), *libraries.request_ids())
    if (request_id := next(filter(is_id, ids), None)) is not None:
        carried["request_id"] = str(request_id)
    if headers is not None and carried:
        headers[_HEADER] = carried


def _begin(task: Any, task_id: str, **_: object) -> None:
    request = task.request
    carried = None if request.is_eager else request.get(_HEADER)
    fields = {name: carried[name] for name in FIELDS if name in carried} if isinstance(carried, Mapping) else {}
    if not is_id(fields.get("request_id") or current_field("request_id")):
        fields["request_id"] = request.root_id or task_id
    scope = request_context(**fields)
    scope.__enter__()
    # On the request itself: an eager task may run inside of another one.
    setattr(request, _SCOPE, scope)


def _end(task: Any, **_: object) -> None:
    if (scope := task.request.__dict__.pop(_SCOPE, None)) is not None:
        scope.__exit__(None, None, None)


def _portable(value: Any) -> Any:
    """Return *value* as every serializer of messages can have it."""
    return value if isinstance(value, int | str) else str(value)
