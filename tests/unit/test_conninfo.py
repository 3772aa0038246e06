"""Where the connection string comes from, and that no password is ever shown."""

import traceback

import pytest
from psycopg.conninfo import conninfo_to_dict

from pglog_audit.conninfo import check_conninfo, describe_conninfo, find_conninfo, require_conninfo
from pglog_audit.errors import ConfigurationError

OWN, URL, HOST = {"PGLOG_AUDIT_CONNINFO": "dbname=own"}, {"DATABASE_URL": "postgresql:///url"}, {"PGHOST": "db"}


@pytest.mark.parametrize(
    ("environ", "dbname"),
    [
        (OWN | URL | HOST, "own"),
        (OWN | HOST, "own"),
        (URL | HOST, "url"),
        ({"PGLOG_AUDIT_CONNINFO": ""} | URL, "url"),
        ({"PGLOG_AUDIT_CONNINFO": " \n"} | URL, "url"),
        ({"PGLOG_AUDIT_CONNINFO": "postgresql+psycopg:///own"} | URL, "own"),
    ],
)
def test_the_sources_are_asked_in_order(environ, dbname):
    """Our own variable wins over DATABASE_URL, and that over libpq's; an empty one is none."""
    assert conninfo_to_dict(find_conninfo(environ))["dbname"] == dbname


@pytest.mark.parametrize("name", ["PGHOST", "PGSERVICE", "PGDATABASE"])
def test_libpqs_own_variables_are_enough(name):
    """With one of the variables that name a database, libpq reads all of them itself."""
    assert find_conninfo({name: "db"}) == ""


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"PGPORT": "5432", "PGUSER": "app", "PGPASSWORD": "hunter2"},
        {"PGHOST": "", "DATABASE_URL": "", "PGLOG_AUDIT_CONNINFO": ""},
        {"DATABASE_URL": "mysql://app@db/app"},
        {"DATABASE_URL": "sqlite:///app.db"},
        {"DATABASE_URL": "postgis://app@db/app"},
        {"DATABASE_URL": "postgresqlx://app@db/app"},
        {"DATABASE_URL": "dbname=app"},
    ],
)
def test_no_source_is_none(environ):
    """Without a PostgreSQL database in the environment there is no conninfo, and that is no error."""
    assert find_conninfo(environ) is None


def test_another_programs_url_gives_way_to_libpq():
    """A DATABASE_URL that is no PostgreSQL's does not hide libpq's variables."""
    assert find_conninfo({"DATABASE_URL": "mysql://app@db/app"} | HOST) == ""


def test_a_url_of_another_kind_is_told(monkeypatch):
    """Who has named a database, of another kind, reads that this is not one."""
    monkeypatch.setenv("DATABASE_URL", "mysql://app@db/app")
    with pytest.raises(ConfigurationError, match="; DATABASE_URL names one that is no PostgreSQL"):
        require_conninfo("pass conninfo")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
@pytest.mark.parametrize("driver", ["", "+psycopg", "+psycopg2", "+asyncpg", "+psycopg_async", "+pg8000"])
def test_the_driver_of_a_url_is_cut_off(scheme, driver):
    """The URL of SQLAlchemy works as it is."""
    found = find_conninfo({"DATABASE_URL": f"{scheme}{driver}://app:pw@db:5433/shop?sslmode=require"})
    assert conninfo_to_dict(found) == {
        "user": "app",
        "password": "pw",
        "host": "db",
        "port": "5433",
        "dbname": "shop",
        "sslmode": "require",
    }


@pytest.mark.parametrize(
    "conninfo",
    [
        "",
        " dbname=app ",
        "postgresql://",
        "postgresql:///app?host=/tmp&port=5433",
        "host=a,b port=5432,5433 target_session_attrs=read-write",
        "host=a,b,c port=5432,,5434",
        "postgresql://a:5432,b:5433/app?target_session_attrs=read-write",
        "postgresql://[::1]:5432/app",
        "host=@abstract dbname=app",
        "postgresql://app:p%40%2Fss@db/app",
        "dbname=app\n",
        "dbname='my app' password='it\\'s'",
        "dbname=a@b",
        "postgresql://app:a?b#c:d@db/app",
        "postgresql://app@db/app?application_name=a@b/c",
    ],
)
def test_a_good_conninfo_means_the_same_afterwards(conninfo):
    """What libpq takes is taken, in both forms."""
    assert conninfo_to_dict(check_conninfo(conninfo)) == conninfo_to_dict(conninfo.strip())


MALFORMED = [
    "hunter2",
    "password=hunter2 host",
    "password=hunter2 hosst=db",
    "hunter2=hunter2",
    "password='hunter2",
    "password=hun hunter2",
    "password=hunter2\0",
    "password=hunter2\ud800",
    "postgresql://app:hunter2%@db/app",
    "postgresql://app:hunter2%zz@db/app",
    "postgresql://app:hunter2%00@db/app",
    "postgresql://app:p@hunter2@db/app",
    "postgresql://app:@hunter2@db:5432/app",
    "postgresql://app:hunter2/x@db/app",
    "postgresql://app:x/hunter2@db/app",
    "postgresql://app:hunter2@db/app?sslmode",
    "postgresql://app:hunter2@[::1/app",
    "postgresql+psycopg://app:p@hunter2@db/app",
    "mysql://app:hunter2@db/app",
    "app:hunter2@db/app",
    "postgresql://app:5/hunter2@db/app",
]


@pytest.mark.parametrize("conninfo", MALFORMED)
def test_a_malformed_conninfo_is_refused_without_its_password(conninfo):
    """The error says how to write it and repeats nothing, not even in a traceback."""
    with pytest.raises(
        ConfigurationError, match=r"write postgresql://user@host:5432/dbname .* percent-encode"
    ) as caught:
        check_conninfo(conninfo)
    shown = traceback.format_exception(caught.value)
    assert "hunter2" not in "".join(line for line in shown if not line.lstrip().startswith("File "))


@pytest.mark.parametrize("variable", ["PGLOG_AUDIT_CONNINFO", "DATABASE_URL"])
def test_a_malformed_variable_is_refused_without_its_password(variable):
    """What the environment holds is checked as well."""
    with pytest.raises(ConfigurationError) as caught:
        find_conninfo({variable: "postgresql://app:hunter2%@db/app"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("conninfo", "described"),
    [
        ("postgresql://app:hunter2@db:5432/shop", "user=app host=db port=5432 dbname=shop"),
        ("host=db password=hunter2 sslpassword=hunter2", "host=db"),
        ("host=a,b port=1,2", "host=a,b port=1,2"),
        ("service=shop password=hunter2", "service=shop"),
        ("password=hunter2", "libpq's defaults"),
        ("", "libpq's defaults"),
        ("password='hunter2", "an unreadable conninfo"),
        ("password=hunter2\0", "an unreadable conninfo"),
        ("password=hunter2\ud800", "an unreadable conninfo"),
    ],
)
def test_a_description_has_no_password(conninfo, described):
    """People are shown where the database is, and nothing secret."""
    assert describe_conninfo(conninfo) == described


def test_a_parameter_of_another_driver_is_named():
    """What asyncpg takes and libpq does not is told by its name, and so is the variable that it stands in."""
    with pytest.raises(ConfigurationError, match=r"DATABASE_URL: conninfo has the parameter ssl") as caught:
        find_conninfo({"DATABASE_URL": "postgresql+asyncpg://app:hunter2@db/app?ssl=disable"})
    assert "hunter2" not in str(caught.value)
