"""The proxy variables, as Go's programs read them."""

import pytest

from buildgraph.errors import UsageError
from buildgraph.registry.proxy import Proxies, ProxyServer

PROXY = {"http_proxy": "http://p:3128", "https_proxy": "http://s:3128"}


def chosen(scheme, host, **environ):
    found = Proxies.of(environ).choose(scheme, host)
    return found and f"{found.kind}://{found.authority}"


def test_by_scheme_and_in_both_spellings():
    assert chosen("http", "a.example", **PROXY) == "http://p:3128"
    assert chosen("https", "a.example", **PROXY) == "http://s:3128"
    assert chosen("https", "a.example", HTTPS_PROXY="http://u:3128") == "http://u:3128"
    assert (
        chosen("https", "a.example", HTTPS_PROXY="http://u:1", https_proxy="http://l:1")
        == "http://l:1"
    )
    assert chosen("https", "a.example", all_proxy="http://all:1") == "http://all:1"
    assert chosen("https", "a.example", http_proxy="http://p:1") is None


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


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("http://p.example", ProxyServer("http", "p.example", 80)),
        ("HTTPS://p.example", ProxyServer("https", "p.example", 443)),
        ("https://p.example:3129/", ProxyServer("https", "p.example", 3129)),
        ("socks5://p.example", ProxyServer("socks5", "p.example", 1080)),
        ("socks5h://[::1]:9050", ProxyServer("socks5", "::1", 9050)),
        ("http://me:pa%2Fss@p.example:1", ProxyServer("http", "p.example", 1, "me", "pa/ss")),
    ],
)
def test_kinds_of_proxies(url, meant):
    assert Proxies.of({"https_proxy": url}).choose("https", "a.example") == meant


@pytest.mark.parametrize(
    "url", ["socks4://user:hidden@p.example", "http://p.example:x", "ftp://p.example", "http://"]
)
def test_other_kinds_of_proxy_are_refused_when_needed(url):
    proxies = Proxies.of({"all_proxy": url, "no_proxy": "b.example"})
    assert proxies.choose("https", "b.example") is None
    with pytest.raises(UsageError) as raised:
        proxies.choose("https", "a.example")
    assert raised.value.code == "unsupported-proxy"
    assert "hidden" not in raised.value.render()


def test_a_password_is_shown_to_nobody():
    proxies = Proxies.of({"https_proxy": "http://me:hidden@p.example"})
    assert "hidden" not in repr(proxies)
    assert "hidden" not in repr(proxies.choose("https", "a.example"))
