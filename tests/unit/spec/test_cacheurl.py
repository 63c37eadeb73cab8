import pytest

from buildgraph.errors import UsageError
from buildgraph.spec.cacheurl import CacheURL, parse


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("file:///mnt/cache", CacheURL("file", "/mnt/cache")),
        ("file://cache", CacheURL("file", "cache")),
        ("file:///c?mode=read", CacheURL("file", "/c", write=False)),
        ("file:///c?mode=write&steps=images", CacheURL("file", "/c", read=False, steps="images")),
        ("registry://127.0.0.1:5000/a/b?mode=rw", CacheURL("registry", "127.0.0.1:5000/a/b")),
        ("registry://team/cache:tag", CacheURL("registry", "docker.io/team/cache")),
    ],
)
def test_urls_mean(text, meant):
    assert parse(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "cache",
            "/mnt/cache",
            "file://",
            "registry://",
            "registry://UPPER/case",
            "ftp://x/y",
        ),
        *(
            "file:///c?mode=append",
            "file:///c?size=3",
            "file:///c?mode=read&mode=rw",
            "file:///c?mode",
        ),
    ],
)
def test_what_is_no_url_of_a_cache(text):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.code == "bad-cache-url"


@pytest.mark.parametrize("scheme", ["s3", "gs", "az", "http", "https"])
def test_other_schemes_are_not_supported_yet(scheme):
    with pytest.raises(UsageError, match=f"{scheme}:// are not supported yet") as caught:
        parse(f"{scheme}://user:secret@bucket/path")
    assert "secret" not in caught.value.render()


def test_a_password_is_never_repeated():
    for text in (
        "registry://user:secret@h.example/a",
        "ftp://user:secret@h/a",
        "file:///a?user:secret",
    ):
        with pytest.raises(UsageError) as caught:
            parse(text)
        assert "user:secret@" not in caught.value.render()


def test_a_relative_folder_is_below_where_it_was_written():
    assert parse("file://../c").below("/a/b").place == "/a/c"
    assert parse("file:///c").below("/a/b").place == "/c"
    assert parse("registry://h.example/c").below("/a/b").place == "h.example/c"
