"""docs/openapi.yaml and each home behind the proxy agree: what schemathesis makes of the one, the other answers.

What differs must be one of EXCEPTIONS in `tests.made.described`, each of which is said in words in the description.
"""

import pytest

from tests.deploy.proxies import Proxy
from tests.made.described import differences
from tests.made.torchserve import Server

SHORT = ["explain", "explainV1", "explainV2"]
"""Operations of the short run; the others are the same with less in the reply, or with a version."""
SECONDS = {"torchserve": 30, "ray": 15}


def test_the_description_holds(home: Server, proxy: Proxy) -> None:
    """In half a minute: the examples, the edges of every value, and what a few random requests make of them."""
    found, good = differences(proxy, 5, SECONDS[home.home], SHORT)
    assert not found, "\n\n".join(found[:20])
    assert good > 5, "videos are answered, too"


@pytest.mark.slow
def test_the_description_holds_at_length(proxy: Proxy) -> None:
    """All operations, each with 200 random requests of both kinds."""
    found, good = differences(proxy, 200)
    assert not found, "\n\n".join(found[:20])
    assert good > 500
