"""The admin page: who did what, newest first, for staff that may view it; nobody may do anything else."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.db.models import DateTimeField, Func, Q, TextField, Value
from django.db.models.functions import Cast
from django.utils.html import format_html

from ... import page_cursor
from ...errors import ConfigurationError
from ...event import ID_FIELDS
from ...page_cursor import Position
from ...printable_text import printable
from .models import AuditEvent

_PAGE = 100
_HELP = "An action, a request id, or the id of an event's row, user, target, hosted event or tenant."
_BEYOND = re.compile(r"-?infinity|\d{4,6}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00 (AD|BC)")
"""The other texts of :class:`_Moment`."""
_SEARCHED = sorted(ID_FIELDS - {"impersonator_id"})
"""The ids that have an index; one without would have every row read."""


class _Moment(Func):
    """A time as text, in UTC; one beyond Python's calendar as the server reads it."""

    template = """CASE
        WHEN %(expressions)s BETWEEN '0001-01-02Z' AND '9999-12-30Z'
        THEN to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
        WHEN isfinite(%(expressions)s)
        THEN to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US"+00" AD')
        ELSE CAST(%(expressions)s AS text)
    END"""
    output_field = TextField()


class OwnRowsFilter(admin.SimpleListFilter):
    """Leaves out what the trail writes of itself, unless asked."""

    title = "rows"
    parameter_name = "rows"

    def lookups(self, _request: Any, _model_admin: Any) -> list[tuple[str, str]]:
        """Return the one choice that is not the usual one."""
        return [("all", "also the trail's own")]

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        """Return both, the usual one by its own name."""
        usual, *others = super().choices(changelist)
        yield {**usual, "display": "of the application"}
        yield from others

    def queryset(self, _request: Any, queryset: Any) -> Any:
        """Return the events to show."""
        return queryset if self.value() == "all" else queryset.exclude(action__startswith="audit.")


class EventList(ChangeList):
    """A page of events, which begins after the last one of the page before; nothing is counted."""

    def get_ordering(self, _request: Any, _queryset: Any) -> list[str]:
        """Return the one order that an index has, and that a cursor goes on in."""
        return ["-occurred_at", "-id"]

    def get_results(self, request: Any) -> None:
        """Find the events of this page, and where the next one begins."""
        cursor = request.GET.get(PAGE_VAR)
        # With USE_TZ=False Python's times are local ones, of which a night has two.
        events = _after(self.queryset, cursor).annotate(moment=_Moment("occurred_at"))
        found = list(events[: self.list_per_page + 1])
        self.result_list = [_harmless(event) for event in found[: self.list_per_page]]
        self.result_count = self.full_result_count = len(self.result_list)
        self.show_full_result_count = self.show_admin_actions = self.multi_page = False
        self.can_show_all = True
        self.paginator = None
        self.newest = self.get_query_string() if cursor else None
        self.older = None
        if len(found) > self.list_per_page:
            self.older = self.get_query_string({PAGE_VAR: _cursor(self.result_list[-1])})


@admin.register(AuditEvent)
class AuditEventAdmin(admin.ModelAdmin):
    """Who did what, newest first."""

    list_display = ("occurred_at", "user", "action", "object", "result", "message")
    list_filter = ("occurred_at", "outcome", OwnRowsFilter)
    list_per_page = _PAGE
    search_fields = ("action",)
    search_help_text = _HELP
    sortable_by = ()
    actions = None
    show_full_result_count = False
    show_facets = None

    def has_add_permission(self, request: Any) -> bool:  # noqa: ARG002 - Django's
        """Refuse: events are logged."""
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002 - Django's
        """Refuse: events are what happened."""
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002 - Django's
        """Refuse: old events go with their whole partition."""
        return False

    def get_changelist(self, request: Any, **_: Any) -> type[ChangeList]:  # noqa: ARG002 - Django's
        """Return the list that counts nothing."""
        return EventList

    def get_search_results(self, request: Any, queryset: Any, search_term: str) -> tuple[Any, bool]:  # noqa: ARG002
        """Return the events that *search_term* is an action, a request or an id of, each by its index."""
        if not search_term:
            return queryset, False
        wanted = Q(action=search_term) | Q(request_id=search_term)
        for name in _SEARCHED:
            with suppress(ValueError):
                wanted |= Q(**{name: self.opts.get_field(name).get_prep_value(search_term)})
        with suppress(ValueError):
            wanted |= Q(id=UUID(search_term))
        return queryset.filter(wanted), False

    def get_object(self, *arguments: Any, **named: Any) -> AuditEvent | None:
        """Return the event to show."""
        event = super().get_object(*arguments, **named)
        return event and _harmless(event)

    @admin.display(description="user")
    def user(self, event: AuditEvent) -> str:
        """Return the user's name as it was then, with a link to all that this user did."""
        return _link("user_id", event.user_id, event.who)

    @admin.display(description="target")
    def object(self, event: AuditEvent) -> str:
        """Return the target's name as it was then, with a link to all that was done to it."""
        return _link("target_id", event.target_id, " ".join(filter(None, (event.entity_type, event.target))))

    @admin.display(description="outcome")
    def result(self, event: AuditEvent) -> str:
        """Return the outcome where it is not the usual one."""
        return "" if event.outcome == "success" else str(event.outcome)


def _harmless(event: AuditEvent) -> AuditEvent:
    """Let no text of *event* turn around or hide what stands next to it on the page."""
    for field in event._meta.fields:
        setattr(event, field.attname, _printable(getattr(event, field.attname)))
    return event


def _printable(value: Any) -> Any:
    match value:
        case str():
            return printable(value)
        case dict():
            return {printable(name): _printable(each) for name, each in value.items()}
        case list():
            return [_printable(each) for each in value]
    return value


def _link(name: str, value: Any, text: str) -> str:
    return text if value is None else str(format_html('<a href="?{}">{}</a>', urlencode({name: value}), text))


def _after(events: Any, cursor: str | None) -> Any:
    if not cursor:
        return events
    try:
        position = page_cursor.decode(cursor, reverse=False)
    except ConfigurationError as error:
        raise IncorrectLookupParameters from error
    time: Any = position.moment
    if time is None:
        if not _BEYOND.fullmatch(position.time):
            raise IncorrectLookupParameters
        time = Cast(Value(position.time), DateTimeField())
    # The bound on the time alone skips months.
    return events.filter(occurred_at__lte=time).filter(Q(occurred_at__lt=time) | Q(id__lt=UUID(position.id)))


def _cursor(last: Any) -> str:
    return page_cursor.encode(Position(last.moment, str(last.id), reverse=False))
