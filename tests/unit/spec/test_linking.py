"""A base that a workspace image's tag names is that image."""

import pytest
from support.buildfile import codes, model

from buildgraph.spec.linking import meaning
from buildgraph.spec.model import BindMount, Copy, Ref, Run

IMAGE = """
[image.os]
on = ["box"]
repository = "registry.example.com/shop/os"
tags = [":v1", ":${key}"]
"""


def test_what_stands_on_the_base_stands_on_the_image() -> None:
    found = model(
        IMAGE
        + """
        [base.below]
        image = "registry.example.com/shop/os:v1"
        [step.hello]
        on = ["below"]
        with = ["below"]
        outputs = ["/hello"]
        run = "true"
        mounts = [{ bind = "base:below", target = "/in" }]
        [step.files]
        copy = [{ from = "base:below", path = "/etc", to = "/below/" }]
        [image.app]
        on = ["below", "hello", "files"]
        """
    )
    image = Ref("image", "os")
    hello, files = found.steps["hello"], found.steps["files"]
    assert list(found.bases) == ["box"]
    assert found.images["app"].on[0] == image
    assert hello.on == (image,)
    assert isinstance(hello.kind, Run)
    assert hello.kind.tools == (image,)
    assert isinstance(hello.kind.mounts[0], BindMount)
    assert hello.kind.mounts[0].source.ref == image
    assert isinstance(files.kind, Copy)
    assert files.kind.items[0].source.ref == image


@pytest.mark.parametrize(
    "reference",
    [
        "registry.example.com/shop/os:v2",
        "registry.example.com/shop/os:v1@sha256:" + "0" * 64,
        "registry.example.com/shop/os",
    ],
)
def test_other_references_stay_bases(reference: str) -> None:
    found = model(IMAGE + f'[base.below]\nimage = "{reference}"\n[image.app]\non = ["below"]\n')
    assert found.bases["below"].reference == reference
    assert found.images["app"].on == (Ref("base", "below"),)


def test_a_base_for_another_platform_is_another_image() -> None:
    found = model(
        IMAGE
        + '[base.below]\nimage = "registry.example.com/shop/os:v1"\nplatform = "linux/arm64"\n'
        + '[image.app]\non = ["below"]\n'
    )
    assert "below" in found.bases


def test_a_cycle_through_a_linked_base_is_a_cycle() -> None:
    assert codes(
        """
        [base.me]
        image = "shop/app:v1"
        [step.hello]
        on = ["me"]
        run = "true"
        [image.app]
        on = ["me", "hello"]
        tags = ["shop/app:v1"]
        """
    ) == ["cycle"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("debian", "docker.io/library/debian:latest"),
        ("docker.io/debian:12", "docker.io/library/debian:12"),
        ("index.docker.io/team/os", "docker.io/team/os:latest"),
        ("localhost/os", "localhost/os:latest"),
        ("a.example/b@sha256:" + "1" * 64, "a.example/b@sha256:" + "1" * 64),
    ],
)
def test_what_a_reference_means(written: str, meant: str) -> None:
    assert meaning(written) == meant
