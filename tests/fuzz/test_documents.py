"""JSON data with any value in any place, as hypothesis draws it and makes it small."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.conftest import card, checked, document
from tests.fuzz import bodies, replies, requests
from tests.fuzz.documents import places

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
WHOLE = [checked(document()), card()]
ASKED = [json.loads(body) for content, body in requests.bodies().values() if content == "application/json"]
pytestmark = pytest.mark.filterwarnings("ignore")  # numbers that overflow do not matter here


def changed(data: st.DataObject, whole: Any) -> bytes:
    """Return a document in which any value stands in place of one, as JSON."""
    copy = json.loads(json.dumps(whole))
    holder, key = data.draw(st.sampled_from(list(places(copy))))
    holder[key] = data.draw(ANY)
    return json.dumps(copy).encode()


@settings(max_examples=150, deadline=None, database=None)
@given(data=st.data())
def test_any_value_in_a_reply(data: st.DataObject) -> None:
    """The client reads it, or says that the reply does not follow the contract."""
    outcome = replies.Reader()(changed(data, data.draw(st.sampled_from(WHOLE))))
    assert outcome in {"answer", "reply_invalid", "error"}


@settings(max_examples=150, deadline=None, database=None)
@given(data=st.data())
def test_any_value_in_a_request(data: st.DataObject) -> None:
    """The handler reads it, or refuses it as the caller's mistake."""
    body = changed(data, data.draw(st.sampled_from(ASKED)))
    assert bodies.check(json.dumps({"Content-Type": "application/json"}).encode() + b"\n" + body) != ""
