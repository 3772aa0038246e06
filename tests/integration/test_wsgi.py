"""A real Django site under the WSGI middleware and a real HTTP server, in a process of its own."""

from tests.support import run_program

PATHS = ["/view", "/async-view", "/stream", "/file", "/nowhere", "/view"]


def test_the_rows_of_a_django_site(database):
    """Views, pieces of a response and the end of each request have its id, its user and its address; no other's."""
    done = run_program("django_site.py", database.writer, *PATHS, python=("-W", "error"))
    assert done.returncode == 0, done.stderr
    ids = done.stdout.split()
    assert len(set(ids)) == len(PATHS)
    actions = {
        "/view": ["page.view", "request.finish"],
        "/async-view": ["page.view", "request.finish"],
        "/stream": ["page.begin", "page.view", "request.finish"],
        "/file": ["request.finish"],
        "/nowhere": ["request.finish"],
    }
    assert [(row["request_id"], row["action"], row["user_label"]) for row in database.rows()] == [
        (request_id, action, None if path == "/nowhere" else path)
        for path, request_id in zip(PATHS, ids, strict=True)
        for action in actions[path]
    ]
    assert {str(row["source_ip"]) for row in database.rows()} == {"127.0.0.1"}
