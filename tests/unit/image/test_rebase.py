"""Layers of copies stand on a newer base as they are; what commands made does not."""

import pytest
from support.images import image

from buildgraph.errors import UsageError
from buildgraph.image.rebase import rebase
from buildgraph.names import Platform
from buildgraph.oci.config import Config, History
from buildgraph.oci.manifest import BASE_DIGEST, BASE_NAME
from buildgraph.values import replace

AMD = Platform("linux", "amd64")


def base(*texts, **config):
    source = image([{"etc/base": text} for text in texts], name="base")
    history = tuple(History(created_by=f"base {text}") for text in texts)
    return replace(source, config=replace(source.config, history=history, **config))


def on(below, *made, **config):
    """An image of ``below`` and one layer for each of ``made``, told so in its history."""
    source = image([*({"x": text} for text in made)])
    whole = replace(
        source.config,
        diff_ids=(*below.config.diff_ids, *source.config.diff_ids),
        history=(*below.config.history, *(History(created_by=text) for text in made)),
        **config,
    )
    layers = (*below.manifest.layers, *source.manifest.layers)
    return replace(source, config=whole, manifest=replace(source.manifest, layers=layers))


def test_own_layers_stay_and_the_base_is_the_new_one():
    old, new = base("1"), base("2", "3")
    mine = on(old, "buildgraph copy src", "COPY a b # buildkit")
    made = rebase(mine, old, new, "debian:12")
    assert made.manifest.layers == (*new.manifest.layers, *mine.manifest.layers[1:])
    assert made.config.diff_ids == (*new.config.diff_ids, *mine.config.diff_ids[1:])
    assert [h.created_by for h in made.config.history] == [
        "base 2",
        "base 3",
        "buildgraph copy src",
        "COPY a b # buildkit",
    ]
    assert made.manifest.annotations[BASE_NAME] == "debian:12"
    assert made.manifest.annotations[BASE_DIGEST] == new.descriptor.digest


def test_config_is_merged_three_ways():
    old = base("1", env=(("PATH", "/old"), ("GONE", "1"), ("LANG", "C")), user="web", cmd=("a",))
    new = base("2", env=(("PATH", "/new"), ("LANG", "C.UTF-8"), ("NEW", "1")), cmd=("b",))
    mine = on(
        old,
        "buildgraph copy src",
        env=(("PATH", "/old"), ("LANG", "de"), ("MINE", "1")),
        user="web",
        cmd=("a",),
        labels={"l": "1"},
        exposed=("80/tcp",),
    )
    made = rebase(mine, old, new, "x").config
    assert dict(made.env) == {"PATH": "/new", "LANG": "de", "NEW": "1", "MINE": "1"}
    assert made.user == ""
    assert made.cmd == ("b",)
    assert made.labels == {"l": "1"}
    assert made.exposed == ("80/tcp",)


def test_a_command_is_refused():
    old = base("1")
    with pytest.raises(UsageError) as raised:
        rebase(on(old, "buildgraph run deps"), old, base("2"), "x")
    assert raised.value.code == "rebase-command"
    assert "deps" in raised.value.message


def test_another_base_is_refused():
    with pytest.raises(UsageError) as raised:
        rebase(on(base("1"), "buildgraph copy a"), base("2"), base("3"), "x")
    assert raised.value.code == "not-its-base"


def test_another_platform_is_refused():
    old, new = base("1"), base("2", architecture="arm64")
    with pytest.raises(UsageError) as raised:
        rebase(on(old, "buildgraph copy a"), old, new, "x")
    assert raised.value.code == "rebase-platform"


def test_a_base_without_history_is_counted_by_its_layers():
    old = base("1", "2")
    bare = replace(old, config=replace(old.config, history=()))
    mine = on(old, "buildgraph copy a")
    made = rebase(mine, bare, base("3"), "x")
    assert [h.created_by for h in made.config.history] == ["base 3", "buildgraph copy a"]


def test_an_empty_config_stays_empty():
    old = base("1")
    made = rebase(on(old, "buildgraph copy a"), old, base("2"), "x")
    assert made.config.env == Config.empty(AMD).env
