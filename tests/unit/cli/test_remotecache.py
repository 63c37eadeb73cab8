import pytest

from buildgraph.cli.remotecache import caches_of
from buildgraph.errors import UsageError
from buildgraph.spec.cacheurl import CacheURL


def caches(*, cache=(), cache_from=(), cache_to=(), no_remote_cache=False):
    given = {
        "cache": cache,
        "cache_from": cache_from,
        "cache_to": cache_to,
        "no_remote_cache": no_remote_cache,
        "other": 1,
    }
    found = caches_of(given, "/here")
    assert given == {"other": 1}
    return found


def test_nothing_said_leaves_it_to_others():
    assert caches() is None
    assert caches(no_remote_cache=True, cache=("file:///c",)) == ()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("h.example/app", CacheURL("registry", "h.example/app", write=False)),
        (
            "type=registry,ref=h.example/app:cache",
            CacheURL("registry", "h.example/app", write=False),
        ),
        ("type=local,src=c", CacheURL("file", "/here/c", write=False)),
        ("type=local,src=/c,tag=x", CacheURL("file", "/c", write=False)),
    ],
)
def test_what_is_read(text, meant):
    assert caches(cache_from=(text,)) == (meant,)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("type=inline", CacheURL("inline", "", read=False, steps="images")),
        ("h.example/app", CacheURL("registry", "h.example/app", read=False, steps="images")),
        (
            "type=registry,ref=h.example/app,mode=max,image-manifest=true,oci-mediatypes=true",
            CacheURL("registry", "h.example/app", read=False),
        ),
        ("type=local,dest=c,mode=min", CacheURL("file", "/here/c", read=False, steps="images")),
        (
            "type=local,dest=/c,mode=max,ignore-error=false",
            CacheURL("file", "/c", read=False, strict=True),
        ),
        ("type=local,dest=/c,mode=max,ignore-error=true", CacheURL("file", "/c", read=False)),
    ],
)
def test_what_is_written(text, meant):
    assert caches(cache_to=(text,)) == (meant,)


def test_one_cache_named_twice_is_read_and_written():
    both = caches(cache_from=("type=local,src=c",), cache_to=("type=local,dest=c,mode=max",))
    assert both == (CacheURL("file", "/here/c"),)
    assert caches(cache=("file://c",)) == both


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("cache_from", "type=inline"),
        ("cache_from", "type=registry"),
        ("cache_from", "type=local,dest=c"),
        ("cache_from", "src=c"),
        ("cache_to", "type=local,src=c"),
        ("cache_to", "type=local,dest=c,mode=most"),
        ("cache_to", "type=local,dest=c,ignore-error=maybe"),
        ("cache_to", "type=floppy,dest=c"),
    ],
)
def test_what_is_not_understood(option, text):
    with pytest.raises(UsageError) as caught:
        caches(**{option: (text,)})
    assert caught.value.code == "bad-option-value"


@pytest.mark.parametrize("kind", ["gha", "s3", "azblob"])
def test_types_that_are_not_supported_yet(kind):
    with pytest.raises(UsageError, match="is not supported yet"):
        caches(cache_to=(f"type={kind},bucket=x",))
