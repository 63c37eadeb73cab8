"""What `[workspace.defaults]` say holds for every step that does not say it itself."""

import pytest
from support.buildfile import model, read

from buildgraph.errors import ErrorGroup


def test_defaults_are_inherited():
    found = model(
        """
        [workspace.defaults.step]
        network = "host"
        env = { A = "1", B = "2" }
        mounts = [{ cache = "pip", target = "/c" }, { tmpfs = true, target = "/t" }]
        merge = "strict"
        [workspace.defaults.image]
        repository = "shop/${target.name}"
        tags = [":1"]
        labels = { a = "b" }
        [step.run]
        on = ["box"]
        env = { B = "3" }
        mounts = [{ cache = "npm", target = "/c" }]
        run = "true"
        [step.src]
        copy = [{ to = "/x/" }]
        [image.api]
        on = ["run"]
        labels = { c = "d" }
        [image.web]
        on = ["run"]
        tags = []
        """
    )
    run = found.steps["run"].kind
    assert run.network == "host"
    assert {name: text.fill({}) for name, text in run.env.items()} == {"A": "1", "B": "3"}
    assert [getattr(mount, "id", "tmpfs") for mount in run.mounts] == ["tmpfs", "npm"]
    assert found.steps["src"].merge_strict, "what every kind has, every kind inherits"
    assert found.images["api"].tags == ("shop/api:1",)
    assert found.images["web"].tags == ()
    assert set(found.images["api"].config.labels) == {"a", "c"}


def test_inherited_mistakes_stand_where_they_were_written():
    text = """
        [workspace.defaults.step]
        mounts = [{ cache = "a", target = "/a" }, { cache = "b", target = "b" }]
        env = { "A=B" = "1" }
        [step.x]
        on = ["box"]
        mounts = [{ cache = "c", target = "/a" }]
        run = "true"
        """
    with pytest.raises(ErrorGroup) as raised:
        read(text)
    assert [(error.code, error.where.line) for error in raised.value.errors] == [
        ("relative-destination", 8),
        ("bad-env-name", 9),
    ]
