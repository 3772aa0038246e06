"""Which names hold secrets, and what stands in their place."""

import json
import re
import subprocess
import sys
import unicodedata
from decimal import Decimal
from fractions import Fraction

import orjson
import pytest

from pglog_audit.errors import ConfigurationError
from pglog_audit.masking import Masker, may_hold_secret

SECRET_NAMES = """
password Password PASSWORD passwd passWord PassWord pass_word pwd pw pass Pass PASS passphrase pass_phrase passcode
passCode user_password userPassword UserPassword USER_PASSWORD user-password user.password user:password user/password
password2 password_2 password_v2 passwords PASSWORDS old_password new_password password_new password_old newPassword2
password_confirmation passwordConfirm confirm_password password_again password_hash passwordHash hashed_password
password_digest dbpassword db.password spring.datasource.password PGPASSWORD MYSQL_PWD DB_PASS_PASSWORD
secret Secret SECRET secrets client_secret clientSecret ClientSecret CLIENT_SECRET client-secret clientsecret
SECRET_KEY secret_key secretKey secretkey shared_secret webhook_secret secret_value
token Token TOKEN tokens access_token accessToken AccessToken ACCESS_TOKEN access-token accesstoken refresh_token
refreshToken id_token idToken bearer_token auth_token authToken X-Auth-Token x-csrf-token csrf csrf_token csrfToken
csrfmiddlewaretoken xsrf XSRF-TOKEN token2 token_hash tokenValue oauth2_token reset_token APItoken
api_key apiKey ApiKey APIKey APIkey API_KEY api-key apikey X-Api-Key x_api_key api_keys apiKeys apiKey2 api_key_v2
access_key aws_secret_access_key AWS_SECRET_ACCESS_KEY account_key private_key privateKey PrivateKey private-key
privatekey PRIVATE_KEY private_key_pem ssh_key encryption_key signing_key signingKey master_key
authorization Authorization AUTHORIZATION Proxy-Authorization proxyAuthorization authorization_header
cookie Cookie cookies Set-Cookie setCookie session_cookie sessionCookie sessioncookie Cookie2
session Session SESSION user_session session_id sessionId sessionID sessionid JSESSIONID PHPSESSID sid connect.sid
session_key credential credentials Credentials user_credentials jwt JWT otp OTP otp_code totp_otp cvv cvc CVV2
recovery_code backup_codes verification_code card_number cardNumber creditCardNumber
cardnumber creditcardnumber credit_card creditCard CREDIT_CARD creditcard credit_cards userCreditCard debit_card
pin PIN Pin pins pin2 new_pin oldPin card_pin cardPin user-pin pin_code pinCode pin_number PinNumber pin_hash
pin_confirmation bearer Bearer BEARER bearer_value basic_auth basicAuth
""".split()

PLAIN_NAMES = """
token_count tokenCount TOKEN_COUNT token_type tokenType token_id token_expires_at tokens_used tokenizer tokenize
tokenization tokenised cookie_consent cookieConsent cookie_policy cookie_banner cookies_enabled cookbook
password_changed_at passwordChangedAt password_reset_required password_strength passwordless password_policy
passwords_differ pwd_expires session_count sessionCount session_duration session_started_at sessions_total obsession
possession possession_id obsessionId
secret_santa secret_name secretary secretaryId secretion secretly author authors author_id authorId
authority authorities authorized authorised_by authorizedBy authorship authorization_type authored keyboard
keyboardLayout key keys key_name primary_key public_key publicKey foreign_key cache_key sort_key idempotency_key
monkey monkeys hockey hotkey turkey passport passportNo passenger passed passes passive compass bypass pass_count
encompass pw_changed spwd sidebar side inside president residence consider description otpauth_enabled topic
option otp_enabled jwt_issuer credential_type credentials_expired csrf_exempt card_number_last4 last4 api_keyboard
api_key_count apikey_created_at private private_keyring access access_keypad cookiecutter broken spoken taken
pinned pinning is_pinned pinnedAt pin_count pinCount pin_length pin_set pinboard pinterest spin opinion napping
credit credit_limit credit_card_type creditCardBrand credit_card_last4 cardholder card card_id cards discard debit
scorecard bearer_format ring_bearer forbearer auth auth_method authMethod oauth basic basic_auth_enabled pan
pan_zoom panZoom pane span name email id user_id event_id status action metadata größe straße token_größe имя
""".split()


FULL_WIDTH = "".join(chr(ord(letter) + 0xFEE0) for letter in "password")


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_name_that_holds_a_secret(name):
    """The value under a name that ends in a secret's name is a secret, in every spelling."""
    assert Masker().is_secret(name)


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_a_name_that_holds_no_secret(name):
    """A name that only contains the letters of a secret, or says something about one, is not masked."""
    assert not Masker().is_secret(name)


@pytest.mark.parametrize("name", ["", " ", "_", "...", "123", "-1-", "🔑", "\0", "\ud800"])
def test_a_name_without_words_holds_no_secret(name):
    """Names without a letter are no error."""
    assert not Masker().is_secret(name)


@pytest.mark.parametrize("name", [FULL_WIDTH, "user password", "user\tpassword", "🔑password", "größe_password"])
def test_a_secret_name_among_other_characters(name):
    """Blanks, symbols and other alphabets do not hide a secret's name."""
    assert Masker().is_secret(name)


@pytest.mark.parametrize(
    ("given", "logged"),
    [
        ("iban", "IBAN"),
        ("iban", "customerIban"),
        ("iban", "ibans"),
        ("tax number", "tax_number"),
        ("tax_number", "taxNumber"),
        ("Tax-Number", "user.TAX_NUMBER"),
        ("my_very_long_field_name", "my_very_long_field_name"),
        ("my_very_long_field_name", "theirMyVeryLongFieldName"),
        ("iban_value", "iban_value"),
        ("raw_text", "raw_text"),
        ("medical data", "medicalData"),
        ("contraseña", "Contraseña"),
        ("contraseña", unicodedata.normalize("NFD", "mi_contraseña")),
        ("straße", "STRASSE"),
        ("пароль", "Пароль"),
        ("line1", "line1"),
    ],
)
def test_users_add_names(given, logged):
    """A name that the user adds is found in every spelling, however long it is."""
    assert Masker(mask=[given]).is_secret(logged)


def test_an_added_name_is_no_part_of_a_word():
    """What the user adds is a word, not a run of letters."""
    masker = Masker(mask=["age"])
    assert masker.is_secret("user_age")
    assert not masker.is_secret("language")


@pytest.mark.parametrize(
    ("given", "logged"),
    [
        ("page_token", "page_token"),
        ("page_token", "pageToken"),
        ("Page-Token", "PAGE_TOKEN"),
        ("session", "session"),
        ("session", "user_session"),
        ("token", "accesstoken"),
        ("password_hash", "passwordHash"),
    ],
)
def test_users_remove_names(given, logged):
    """A whole name or a built-in word that the user removes is masked no longer."""
    assert Masker().is_secret(logged)
    assert not Masker(unmask=[given]).is_secret(logged)


@pytest.mark.parametrize("logged", ["token", "access_token", "next_page_token"])
def test_removing_a_name_removes_that_one_only(logged):
    """The names next to a removed one stay secrets."""
    assert Masker(unmask=["page_token"]).is_secret(logged)


def test_names_may_come_from_any_iterable():
    """Tuples, sets and generators are lists of names too."""
    assert Masker(mask=(name for name in ("iban",)), unmask={"session"}).is_secret("iban")


@pytest.mark.parametrize("option", ["mask", "unmask"])
@pytest.mark.parametrize("name", [1, None, "", " ", "-", "7", b"iban"])
def test_names_that_are_none_are_refused(option, name):
    """What has no word in it is the name of nothing; the error says which, and how to write one."""
    with pytest.raises(ConfigurationError, match=rf"^{option} has {name!r}, which is no name: write words"):
        Masker(**{option: ["iban", name]})


@pytest.mark.parametrize("option", ["mask", "unmask"])
@pytest.mark.parametrize("names", ["iban", 5, None, True])
def test_names_that_are_no_list_are_refused(option, names):
    """A single text is refused: its letters would be taken for names."""
    with pytest.raises(ConfigurationError, match=rf"^{option} must be a list of names, not {names!r}"):
        Masker(**{option: names})


@pytest.mark.parametrize("mask_with", [None, 5, ["***"]])
def test_a_mask_that_is_none_is_refused(mask_with):
    """The mask is a text or a callable."""
    with pytest.raises(ConfigurationError, match="mask_with must be"):
        Masker(mask_with=mask_with)


@pytest.mark.parametrize("value", [None, True, False, 0, 17, -1.5, float("inf"), 2**80, Decimal("1.5"), Fraction(1, 2)])
def test_numbers_and_booleans_are_left(value):
    """How many tokens, whether there is a password: that is no secret."""
    assert Masker().mask("token", value) is value


@pytest.mark.parametrize(
    "value", ["hunter2", "", b"hunter2", {"a": "hunter2"}, {"hunter2"}, object(), ValueError("hunter2")]
)
def test_everything_else_is_masked(value):
    """Text, bytes, objects and whole containers give way to the mask."""
    assert Masker().mask("password", value) == "***"


@pytest.mark.parametrize("value", [["old", "new"], ("old", "new")])
def test_a_list_keeps_its_shape(value):
    """Of changes [old, new] it is still seen that both were there."""
    assert Masker().mask("password", value) == ["***", "***"]


def test_a_list_keeps_what_is_no_secret():
    """None and numbers in a list are left: a password that was set is told from one that was changed."""
    assert Masker().mask("password", [None, "hunter2", 3]) == [None, "***", 3]


def test_a_list_that_holds_itself_is_masked():
    """A cycle under a secret's name ends."""
    value = ["hunter2"]
    value.append(value)
    assert "hunter2" not in json.dumps(Masker().mask("password", value))


def test_a_list_that_would_unfold_without_end_is_masked():
    """Ten levels of a hundred times the same list make no 10^20 masks."""
    value = ["hunter2"]
    for _ in range(10):
        value = [value] * 100
    assert "hunter2" not in json.dumps(Masker().mask("tokens", value))


def test_a_value_that_cannot_be_looked_at_is_masked():
    """A proxy that is bound to no request raises even for isinstance, and is masked all the same."""

    class Unbound:
        @property
        def __class__(self):
            raise RuntimeError("working outside of request context")

    assert Masker().mask("session", Unbound()) == "***"


def test_another_mask():
    """The user's own text stands in place of a secret."""
    assert Masker(mask_with="[hidden]").mask("password", "hunter2") == "[hidden]"


def test_a_callable_gets_name_and_value():
    """The user's callable decides what is stored."""
    assert Masker(mask_with=lambda name, value: f"{name}:{len(value)}").mask("password", "hunter2") == "password:7"


def test_a_callable_is_asked_for_each_item():
    """Items of a list are masked one by one."""
    assert Masker(mask_with=lambda _, value: len(value)).mask("password", ["a", "bcd"]) == [1, 3]


def test_a_callable_that_raises_lets_nothing_through():
    """A broken callable neither fails the log call nor shows the secret."""
    assert Masker(mask_with=lambda name, value: 1 / 0).mask("password", "hunter2") == "***"


def test_an_interrupt_passes_through_a_callable():
    """Ctrl-C is no error of the callable."""

    def interrupted(name, value):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Masker(mask_with=interrupted).mask("password", "hunter2")


@pytest.mark.parametrize(
    "text",
    [
        "Bearer hunter2",
        "bearer hunter2",
        "BEARER hunter2",
        "bEaReR hunter2",
        "Bearer   hunter2",
        "Bearer\nhunter2",
        "Authorization: Bearer hunter2",
        "authorization=Bearer hunter2",
        'curl -H "Authorization: Bearer hunter2" https://example.org',
        '{"Authorization": "Bearer hunter2"}',
        "?token=hunter2",
        "GET /files?token=hunter2",
        "GET /files?page=2&token=hunter2&x=1",
        "/files?a=1;token=hunter2",
        "/cb#access_token=hunter2",
        "token=hunter2",
        "TOKEN=hunter2",
        "Token=hunter2, next",
        "api-key=hunter2",
        "x.api_key=hunter2",
        "PGPASSWORD=hunter2 psql",
        "host=db password=hunter2 user=app",
        "host=db password='hunter2' user=app",
        "host=db password='hun hunter2' user=app",
        r"host=db password='it\'s hunter2' user=app",
        'password="hun hunter2"',
        r'password="a \" hunter2"',
        "password='hunter2",
        'password="hunter2 and the text was cut',
        "User(name='ann', password='hunter2')",
        "User(password=b'hunter2')",
        "name='ann' password='hunter2' id=3",
        "tokens=['hunter2']",
        "url=https://example.org/?token=hunter2",
        "next=/cb?state=x&access_token=hunter2",
        "to=url=token=hunter2",
        "a=b&c=d&password=hunter2",
        "postgresql://app:hunter2@db/app",
        "postgresql+psycopg://app:hunter2@db:5432/app?sslmode=require",
        "redis://:hunter2@cache/0",
        "https://ann:hunter2@example.org/x and https://example.org",
        "https://ann:p@hunter2@example.org/",
        "https://ann:a:hunter2@example.org/",
        "https://a/ https://ann:hunter2@example.org/",
        "https://ann:hunter2…",
        "https://ghp_hunter2hunter2hunter2@github.com/ann/x.git",
        "git+https://hunter2-hunter2_hunter2@example.org",
        "https://ghp_hunter2hunter2hunter2…",
        "https://ghp_hunter2hunter2hunter2:x-oauth-basic@github.com/ann/x.git",
        "https://sk_hunter2hunter2hunter2:@api.example.org/",
        "https://ann_hunter_and_company:hunter2@example.org/",
        "--password=hunter2",
        "run --api-key=hunter2 now",
        "psql --db-password='hun hunter2'",
        "java -Dspring.datasource.password=hunter2",
        "['run', '--token=hunter2']",
        "{'--token': 'hunter2'}",
        "Authorization: hunter2",
        "AUTHORIZATION: hunter2",
        "'authorization: hunter2'",
        "Authorization: hunter2 Host: x",
        "Authorization: Own hunter2",
        "Authorization:\thunter2",
        "authorization=Basic hunter2",
        'Authorization: token="hun hunter2"',
        'Authorization: Token token="hunter2"',
        'Authorization: Digest username="ann", realm="a b", response="hunter2"',
        "Authorization: AWS4-HMAC-SHA256 Credential=A/1, SignedHeaders=host, Signature=hunter2",
        "{'tokens': ['x', 'hunter2']}",
        "User(tokens=('x', 'hunter2'))",
        "User(password=Secret('hunter2'))",
        "{'token': <Token: hunter2>}",
        "{'token': {'x': '}', 'y': [1, {'z': 'hunter2'}]}}",
        "{'token': {'x': \"it's }\", 'y': 'hunter2'}}",
        "{'token': {'x': 'cut', 'y': 'hunter2",
        "password=a(b)hunter2",
        "password={a}hunter2",
        "password=a(hunter2 and the text was cut",
        str({"a": json.dumps({"password": 'a"hunter2'})}),
        str({"a": json.dumps({"password": 'a\\"hunter2'})}),
    ],
)
def test_a_secret_inside_a_text_is_masked(text):
    """Bearer tokens, assignments to a secret's name and passwords of URLs are masked wherever they stand."""
    assert "hunter2" not in Masker().mask_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Logo replaced",
        "token",
        "the token was renewed",
        "bearer",
        "forbearers came",
        "a=b",
        "page=2&sort=name",
        "token_count=3&token_type=bearer",
        "keyboard=de author=ann",
        "x == y and password",
        "https://example.org/a:b@c",
        "https://example.org:8080/files?page=2",
        "https://example.org/@ann",
        "https://ann@example.org/",
        "https://ann-with-19-letters@example.org/",
        "https://ann.lovelace.of.london@example.org/",
        "https://a-host-with-a-long-name/a@b",
        "https://a-host-with-a-long-name:8080/a@b",
        "mailto:ann@example.org",
        "12:30 ann@example.org",
        "=",
        "= = =",
        "password=",
        "password= ",
        "://",
        "use --password or --token",
        "a--b - c -- d",
        "the token (a text) is {short}",
        "authorization: denied for user 5",
        "Authorization: required",
        "needs authorization:\n- admin",
        "authorization:",
        r'"{\"page\": \"1\"}"',
    ],
)
def test_a_text_without_a_secret_is_left(text):
    """Everything else stays as it was written."""
    assert Masker().mask_text(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("GET /f?token=abc&page=2 200", "GET /f?token=***&page=2 200"),
        ('GET "/f?token=abc" 200 "curl"', 'GET "/f?token=***" 200 "curl"'),
        ("host=db password='a b' user=app", "host=db password=*** user=app"),
        ("User(name='ann', password='x', id=3)", "User(name='ann', password=***, id=3)"),
        ("postgresql://app:pw@db:5432/app", "postgresql://app:***@db:5432/app"),
        ("https://abcdefghij0123456789@x/a?b", "https://***@x/a?b"),
        ("Bearer abc, then more", "Bearer ***, then more"),
        ("url=https://x/?token=abc&page=2", "url=https://x/?token=***&page=2"),
        ("run --password=abc --page=2", "run --password=*** --page=2"),
        ("Authorization: abc\r\nHost: x", "Authorization: ***\r\nHost: x"),
        ("Authorization: Basic\r\n abc", "Authorization: Basic\r\n ***"),
        ('curl -H "Authorization: Basic YWI=" https://x -d "y"', 'curl -H "Authorization: Basic ***" https://x -d "y"'),
        ("f(token=(1, 'abc'), page=2)", "f(token=***, page=2)"),
        ("User(password=Secret('abc'), id=3)", "User(password=***, id=3)"),
    ],
)
def test_only_the_secret_is_masked(text, masked):
    """What stands around a secret can still be read."""
    assert Masker().mask_text(text) == masked


def test_added_and_removed_names_count_inside_texts():
    """The user's names are used for assignments inside a text too."""
    masker = Masker(mask=["iban"], unmask=["page_token"])
    assert masker.mask_text("iban=DE12&page_token=3") == "iban=***&page_token=3"


@pytest.mark.parametrize("secret", ["hunter2", 'a"hunter2', {"a": "hunter2"}, [["x", {"a": 'x"}]hunter2'}]]])
@pytest.mark.parametrize("levels", range(5))
def test_json_inside_json_is_masked(secret, levels):
    """However often JSON was made a text of JSON, a secret is masked to its end, and its neighbours can be read."""
    text = json.dumps({"before": 1, "token": secret, "after": 2})
    for _ in range(levels):
        text = json.dumps(text)
    masked = Masker().mask_text(text)
    assert "hunter2" not in masked
    assert "before" in masked
    assert "after" in masked


@pytest.mark.parametrize("levels", range(5))
def test_a_backslash_at_the_end_of_a_secret_hides_no_other(levels):
    """Where a backslash could escape the quote or not, more is masked rather than less."""
    text = json.dumps({"token": 'a"hunter2\\', "page": "x", "password": "hunter2"})
    for _ in range(levels):
        text = json.dumps(text)
    assert "hunter2" not in Masker().mask_text(text)


@pytest.mark.parametrize("printed", [str, json.dumps])
def test_a_nested_value_is_masked_to_its_end(printed):
    """A dict under a secret's name is masked as a whole, and no further."""
    masked = Masker().mask_text(printed({"token": {"access": "abc", "more": [{"x": ")"}]}, "page": 2}))
    assert masked in ("{'token': ***, 'page': 2}", '{"token": ***, "page": 2}')


HOSTILE_TEXTS = """
a=
a
token=
://
://:
://a:
://a:b
bearer
bearer\x20
bearer\x20;
password="
password='
password='"
password=\\
password="\\
=
-
a.
A
aA
x="y
@
a@
://a:@
://aaaaaaaaaaaaaaaaaaaa
://aaaaaaaaaaaaaaaaaaaa@
Bearer\x20Bearer
[({
--
--a=
token=(
token=<
token=a)
token="a"
'token':{
\\"token\\":\\"
\\"
\\
a\\
a(
a)
authorization:\x20
authorization:\x20a="
authorization:\x20a="b",
authorization:\x20basic\x20
authorization:\x20basic\x20a=b,
""".split("\n")[1:-1]


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_masking_takes_linear_time(text):
    """A text made to confuse takes no longer than any other: half a megabyte of it fits into ten seconds of CPU."""
    program = (
        "import sys; from pglog_audit.masking import Masker; text = sys.argv[1]\n"
        "Masker().mask_text(text * (500_000 // len(text)))\n"
        "for before in ('password=', 'password=\\'', 'password=['):\n"
        "    Masker().mask_text(before + text * (100_000 // len(text)))\n"
        "Masker().is_secret(text * (250_000 // len(text)))"
    )
    import resource  # POSIX only

    limit = (resource.RLIMIT_CPU, (10, 10))
    done = subprocess.run([sys.executable, "-c", program, text], preexec_fn=lambda: resource.setrlimit(*limit))
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("payload {'password': 'hunter2', 'page': 2}", "payload {'password': ***, 'page': 2}"),
        ('{"token":"hunter2","page":2}', '{"token":***,"page":2}'),
        ('{"token_count": 3, "apiKey": "hunter2"}', '{"token_count": 3, "apiKey": ***}'),
        ("Authorization: Basic aHVudGVyMg==", "Authorization: Basic ***"),
        ("it's: password", "it's: password"),
    ],
)
def test_a_printed_dict_or_header_is_masked(text, masked):
    """People log whole payloads; a dict or JSON in a text has names as well."""
    assert Masker().mask_text(text) == masked


WHITE = ["", *(chr(n) for n in range(0x3001) if re.match(r"\s", chr(n)))]
NAMES = [
    "authorization: Basic",
    "AUTHOR\u0130ZATION: Basic",
    "author\u0131zation:Basic",
    "authorization:",
    "author\u0131zation:",
    "authorization=Basic",
    "Bearer",
    "token=",
    "--token=",
    "https://ada:",
]
QUOTES = ["'", '"', r"\"", r"\'", r"\\\""]


@pytest.mark.parametrize("white", WHITE, ids=ascii)
def test_whatever_is_masked_has_a_hint(white):
    """Who looks for hints, in the JSON of an event, passes over no text in which there is something to mask."""
    printed = [f"x {quote}password{quote}{white}:{white}hunter2" for quote in QUOTES]
    for text in (*printed, *(f"{name}{white}hunter2@host" for name in NAMES)):
        assert Masker().mask_text(text) == text or may_hold_secret(orjson.dumps(text).decode())
    assert all(Masker().mask_text(text) != text for text in printed)
    assert "hunter2" not in Masker().mask_text(f"x 'password'{white * 2}:{white * 2}hunter2")
