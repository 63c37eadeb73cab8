"""The proxy variables, as Go's programs read them."""

import pytest

from buildgraph.errors import UsageError
from buildgraph.registry.proxy import Proxies

PROXY = {"http_proxy": "http://p:3128", "https_proxy": "http://s:3128"}


def chosen(scheme, host, **environ):
    return Proxies.of(environ).choose(scheme, host)


def test_by_scheme_and_in_both_spellings():
    assert chosen("http", "a.example", **PROXY) == "http://p:3128"
    assert chosen("https", "a.example", **PROXY) == "http://s:3128"
    assert chosen("https", "a.example", HTTPS_PROXY="http://u:3128") == "http://u:3128"
    assert (
        chosen("https", "a.example", HTTPS_PROXY="http://u", https_proxy="http://l") == "http://l"
    )
    assert chosen("https", "a.example", all_proxy="http://all") == "http://all"
    assert chosen("https", "a.example", http_proxy="http://p") is None


def test_a_url_without_a_scheme():
    assert chosen("http", "a.example", http_proxy="p:3128") == "http://p:3128"


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1:5000", "[::1]:5000"])
def test_this_machine_is_reached_directly(host):
    assert chosen("http", host, **PROXY) is None


@pytest.mark.parametrize(
    ("no_proxy", "host"),
    [
        ("*", "a.example"),
        ("a.example", "a.example"),
        ("example", "a.example"),
        (".example", "a.example:5000"),
        ("*.example", "a.example"),
        ("A.Example", "a.EXAMPLE"),
        ("b, a.example", "a.example"),
        ("a.example:5000", "a.example:5000"),
        ("a.example:443", "a.example"),
        ("10.0.0.0/8", "10.1.2.3:5000"),
        ("10.1.2.3", "10.1.2.3"),
        ("fd00::/8", "[fd00::1]:5000"),
    ],
)
def test_exceptions(no_proxy, host):
    assert chosen("https", host, no_proxy=no_proxy, **PROXY) is None


@pytest.mark.parametrize(
    ("no_proxy", "host"),
    [
        ("example", "anexample"),
        (".a.example", "a.example"),
        ("a.example:5000", "a.example"),
        ("10.0.0.0/8", "11.1.2.3"),
        ("10.0.0.0/8", "a.example"),
        ("nonsense/8", "a.example"),
    ],
)
def test_no_exceptions(no_proxy, host):
    assert chosen("https", host, no_proxy=no_proxy, **PROXY) == "http://s:3128"


def test_other_kinds_of_proxy_are_refused_when_needed():
    proxies = Proxies.of({"all_proxy": "socks5://p:1080"})
    assert proxies.choose("http", "localhost") is None
    with pytest.raises(UsageError, match="a socks5 proxy is set for") as raised:
        proxies.choose("https", "a.example:5000")
    assert raised.value.code == "unsupported-proxy"
    assert "https_proxy" in raised.value.hint


def test_a_password_is_in_no_repr():
    assert "hidden" not in repr(Proxies.of({"http_proxy": "http://user:hidden@p"}))
