"""Where redirects, Location and Link headers may lead, and where not."""

import pytest

from buildgraph.registry.failure import RegistryError
from buildgraph.registry.location import Origin, Url, next_page

HERE = Url.parse("https://registry.test:5000/v2/a/blobs/uploads/?state=1")


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("https://Registry.Test/v2/", "https://registry.test/v2/"),
        ("https://registry.test:443/v2/", "https://registry.test/v2/"),
        ("http://127.0.0.1:80", "http://127.0.0.1/"),
        ("http://[::1]:5000/a b?c=d e", "http://[::1]:5000/a%20b?c=d%20e"),
        ("https://user:secret@host/x", "https://host/x"),
        ("https://host/a%2Fb?sig=a%3D%3D#part", "https://host/a%2Fb?sig=a%3D%3D"),
    ],
)
def test_urls_have_one_form(text, again):
    assert str(Url.parse(text)) == again


def test_the_port_is_part_of_the_origin():
    assert Url.parse("http://h/").origin == Origin("http", "h", 80)
    assert Url.parse("http://h:81/").origin != Url.parse("http://h/").origin
    assert Url.parse("https://h/").origin.authority == "h"


@pytest.mark.parametrize(
    ("location", "goes"),
    [
        ("/v2/a/blobs/uploads/7", "https://registry.test:5000/v2/a/blobs/uploads/7"),
        ("7?_state=x", "https://registry.test:5000/v2/a/blobs/uploads/7?_state=x"),
        ("https://storage.test/b?signature=y", "https://storage.test/b?signature=y"),
        ("//storage.test/b", "https://storage.test/b"),
        (" /v2/c ", "https://registry.test:5000/v2/c"),
    ],
)
def test_locations_are_resolved(location, goes):
    assert str(HERE.follow(location)) == goes


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("file:///etc/passwd", "neither http nor https"),
        ("ftp://host/x", "neither http nor https"),
        ("http://registry.test:5000/v2/", "encryption"),
        ("https://host:port/x", "no URL"),
        ("https://[::1/x", "no URL"),
        ("https://ho st/x", "names no host"),
        ("https://h\u00f6st/x", "names no host"),
    ],
)
def test_nobody_is_led_astray(location, why):
    with pytest.raises(RegistryError, match=why) as caught:
        HERE.follow(location)
    assert caught.value.code == "registry-location"
    assert caught.value.exit_code == 4


def test_messages_keep_what_a_location_may_hold():
    with pytest.raises(RegistryError) as caught:
        HERE.follow("ftp://user:secret@host/path?signature=secret")
    assert "secret" not in caught.value.render()
    assert HERE.shown == "https://registry.test:5000/v2/a/blobs/uploads/"


def test_a_query_is_added_to_one():
    assert HERE.with_query("digest=x").target.endswith("?state=1&digest=x")
    assert HERE.at("/b").with_query("digest=x").target == "/b?digest=x"


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('</v2/a/tags/list?n=2&last=b>; rel="next"', "/v2/a/tags/list?n=2&last=b"),
        ("</p>;rel=next", "/p"),
        ('</first>; rel="first", </second>; title="x, y"; rel="last next"', "/second"),
        ("<https://registry.test:5000/p>; rel=next", "/p"),
    ],
)
def test_the_next_page(header, target):
    found = next_page([header], HERE)
    assert found == HERE.at(target)


@pytest.mark.parametrize("header", ["", "</p>", "</p>; rel=prev", "nonsense; rel=next", "<" * 9999])
def test_there_is_no_next_page(header):
    assert next_page([header], HERE) is None


def test_a_list_stays_on_its_host():
    with pytest.raises(RegistryError, match="another host"):
        next_page(["<https://other.test/p>; rel=next"], HERE)
