"""However a secret was printed, nothing of it is left in the text."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from pglog_audit.masking import Masker
from tests.properties.strategies import json_values

_secrets = st.lists(st.sampled_from([*"'\"\\{}[]()<> ,:=\né", "hunter2"]), max_size=8).map("".join)
_values = json_values(_secrets, st.sampled_from("abc"))


@settings(max_examples=2000)
@given(_values, st.lists(st.sampled_from([str, json.dumps, lambda text: str([text])]), min_size=1, max_size=3))
def test_a_printed_secret_is_masked(value, prints):
    """A value under a secret's name is masked as a whole, whatever it is, and though it was printed more than once."""
    text = {"before": 1, "token": value, "after": 2}
    for printed in prints:
        text = printed(text)
    masked = Masker().mask_text(text)
    assert "hunter2" not in masked
    assert "before" in masked
