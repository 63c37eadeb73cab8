"""What the store has of an image is not fetched from its registry again, except by who wants to know what is there."""

import pytest
from support.badregistry import BadRegistry
from support.distribution import fill, sample
from support.screen import run

IMAGE = sample()


@pytest.fixture
def bad():
    with BadRegistry() as registry:
        fill(registry, IMAGE)
        yield registry


@pytest.fixture
def pulled(bad, tmp_path):
    """Types a command of a machine that has pulled the image; what the registry was asked for with GET."""

    def typed(*words):
        assert run("--home", str(tmp_path / "home"), *words).code == 0
        return [seen.path.removeprefix("/v2/shop/api/") for seen in bad.asked("GET", "/shop/")]

    typed("pull", f"{bad.host}/shop/api")
    bad.seen.clear()
    return typed


def test_a_second_pull_asks_what_the_tag_names(bad, pulled):
    assert pulled("pull", f"{bad.host}/shop/api") == ["manifests/latest"]


def test_a_copy_to_elsewhere_takes_what_is_here(bad, pulled, tmp_path):
    source = f"docker://{bad.host}/shop/api"
    assert pulled("copy", source, f"oci:{tmp_path / 'layout'}") == ["manifests/latest"]
    assert run("--home", str(tmp_path / "b"), "validate", str(tmp_path / "layout")).code == 0


def test_to_validate_an_image_of_a_registry_is_to_read_it_there(bad, pulled):
    asked = pulled("validate", f"docker://{bad.host}/shop/api")
    wanted = {f"blobs/{d.digest}" for d in (*IMAGE.manifest.layers, IMAGE.manifest.config)}
    assert wanted <= set(asked)


def test_what_was_pulled_is_mounted_into_another_repository(registry, image, tmp_path):
    for words in (
        ("pull", f"{registry.host}/base/os:1"),
        ("push", f"{registry.host}/base/os:1", f"{registry.host}/shop/os:1"),
    ):
        assert run("--home", str(tmp_path / "home"), *words).code == 0
    asked = [(a.method, a.status) for a in registry.accesses() if a.uploads]
    assert asked == [("POST", 201)] * (1 + len(image.source.manifest.layers))
