"""Addresses as messages show them: no password, whatever is in it, and no key of a query."""

import numpy as np
import pytest

from staa_client import Client
from staa_client._address import shown
from staa_client._grab import place_of
from staa_client._key import keyed
from staa_client._source import Link

HIDDEN = "s3cr3t"


def test_no_password_is_shown() -> None:
    """Of any user, password and query the address shown is the bare one, also with characters that must be encoded."""
    rng = np.random.default_rng(0)
    odd = list("ab19/?#@:[]%&=+ \\.")
    hosts = ["10.0.0.5", "10.0.0.5:554", "cam.local", "cam.local:8080", "localhost:80", "[fe80::1]", "[::1]:554"]
    for _ in range(2000):
        scheme = rng.choice(["rtsp://", "http://", "https://", "srt://", "//", ""])
        password = "".join(rng.choice(odd, rng.integers(0, 12)))
        password = password if scheme else password.lstrip("/")  # "admin://" is a scheme
        bare = scheme + rng.choice(hosts) + rng.choice(["", "/", "/s", "/live/1.m3u8"])
        before, after = bare[: len(scheme)], bare[len(scheme) :]
        assert shown(f"{before}admin:{password}@{after}") == bare
        assert shown(f"{before}admin@{after}") == bare
        assert shown(f"{bare}?passphrase={HIDDEN}#{HIDDEN}") == bare


@pytest.mark.parametrize(
    "url",
    [
        "https://host/@name/clip@2x.mp4",
        "http://127.0.0.1:8080/@name/clip.mp4",
        "http://[::1]:8080/a@b",
        "rtsp://cam.local:554/stream:1",
        "localhost:8080",
        "http://localhost:8080/a@b",
        "srt://host",
        "",
    ],
)
def test_what_is_no_secret_stays(url: str) -> None:
    """An "@" in the path of a host that cannot be a user and a password is no end of one."""
    assert shown(url) == url


@pytest.mark.parametrize(
    "url", ["rtsp://host:port/s", f"ftp://user:{HIDDEN}@host", f"user:{HIDDEN}@host:x", f"http:/u:{HIDDEN}@host:x"]
)
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    """What a client cannot take as the address of a server is quoted, less what is secret in it."""
    with pytest.raises(ValueError, match="a server's address looks like") as caught:
        Client(url)
    assert shown(url) in str(caught.value)
    assert HIDDEN not in str(caught.value)


def test_a_video_keeps_its_query_and_no_password() -> None:
    """In a file of answers a URL is known by all of it but user and password: another query is another video."""
    for url, name in (
        (f"https://admin:{HIDDEN}@host/clip?id=5#t=3", "https://host/clip?id=5"),
        ("https://host/clip?id=6&mail=a@b", "https://host/clip?id=6&mail=a@b"),
        (f"https://admin:{HIDDEN}?@host/clip", "https://host/clip"),
    ):
        key, video = keyed(url)
        assert (key.name, key.place) == (name, name)
        assert video == url


@pytest.mark.parametrize("password", ["p@ss", "p/ss", "p?ss", "p#ss", "p[ss", "p:ss"])
def test_a_stream_is_named_without_its_password(password: str) -> None:
    """A camera's address is taken with any password, opened as it is, and named without."""
    url = f"rtsp://admin:{password}@10.0.0.5/s"
    place = place_of(url, {})
    assert (place.kind, place.name, str(place)) == ("stream", url, "rtsp://10.0.0.5/s")
    assert "ss" not in repr(place)
    assert str(place_of("srt://host:9000?passphrase=secret123", {})) == "srt://host:9000"
    assert str(place_of("/data/a:b@c?.mp4", {})) == "/data/a:b@c?.mp4"


def test_a_fetched_video_has_no_secret_in_its_name() -> None:
    """The name that goes into answers is the last part of the path, and never the end of a password."""
    assert Link("http://admin:p/secret@host").name == "video"
    assert Link("http://admin:p/x?secret@host/a/clip%20one.mp4?key=secret").name == "clip one.mp4"
    assert Link("https://host/@name/clip@2x.mp4").name == "clip@2x.mp4"
