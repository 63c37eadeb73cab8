"""Strings that wait for the config of their stack: what they become, and what is wrong with them then."""

from dataclasses import replace

import pytest
from support.buildfile import codes, mistakes, model

from buildgraph.digest import Digest
from buildgraph.errors import ErrorGroup
from buildgraph.graph.graph import BaseFacts, BuildGraph
from buildgraph.graph.lower import lower
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.spec.platforms import joined

AMD, ARM = Platform("linux", "amd64"), Platform("linux", "arm64")
ENV = (
    ("PORT", "8080"),
    ("APP", "/srv/app"),
    ("VERSION", "1.2"),
    ("OWNER", "7:8"),
    ("SIG", "SIGINT"),
    ("NET", "host"),
    ("SECONDS", "90s"),
    ("HOST", "db.test"),
    ("IP", "10.0.0.7"),
    ("NOTHING", ""),
)
FACTS = BaseFacts((Digest("sha256:" + "0" * 64),), replace(Config.empty(AMD), env=ENV))


def graph(text: str) -> BuildGraph:
    found = model(text, paths={"src"})
    return lower(found, dict.fromkeys(found.bases, FACTS), {}, AMD)


def image(text: str, name: str = "i"):
    return graph(f'[image.{name}]\non = ["box"]\n{text}').images[name]


def step(text: str, kind: str = 'run = "true"'):
    return graph(f'[step.s]\non = ["box"]\n{kind}\n{text}').steps["step:s"]


@pytest.mark.parametrize(
    ("key", "field", "expected"),
    [
        ('expose = ["${env.PORT}", "${env.PORT}/udp"]', "exposed", ("8080/tcp", "8080/udp")),
        ('volumes = ["${env.APP}/data/"]', "volumes", ("/srv/app/data/",)),
        ('stop-signal = "${env.SIG}"', "stop_signal", "SIGINT"),
        ('shell = ["${env.APP}/sh", "-c"]', "shell", ("/srv/app/sh", "-c")),
        ('onbuild = ["RUN ${env.APP}"]', "onbuild", ("RUN /srv/app",)),
        ('workdir = "${env.APP}/./x"', "workdir", "/srv/app/x"),
        ('user = "${env.OWNER}"', "user", "7:8"),
        ('labels = { "of.${env.PORT}" = "a" }', "labels", {"of.8080": "a"}),
        ('healthcheck = { test = "x", interval = "${env.SECONDS}" }', "healthcheck", 90 * 10**9),
        ('unset = { env = ["${env.SIG}*", "NET"] }', "env", tuple(e for e in ENV if e[0] != "NET")),
    ],
)
def test_every_string_of_an_images_config(key, field, expected):
    found = getattr(image(key).config, field)
    assert getattr(found, "interval", found) == expected


def test_what_is_published_of_an_image():
    made = image(
        'repository = "reg.test/${env.VERSION}"\ndescription = "v${env.VERSION}"\n'
        'tags = [":${env.PORT}", ":plain", { tag = ":w${env.PORT}", when = "platform.os == \'linux\'" },'
        ' { tag = "${env.APP}", when = "platform.os == \'plan9\'" }, "a:${key}-${env.PORT}"]\n'
        'annotations = { "a.${env.SIG}" = "${env.NET}" }\ncompression = "${env.CODEC}"\nlevel = 19\n'
        .replace("${env.CODEC}", "zstd")
    )  # fmt: skip
    repository = "reg.test/1.2"
    expected = (f"{repository}:8080", f"{repository}:plain", f"{repository}:w8080", "a:${key}-8080")
    assert made.tags == expected
    assert made.description == "v1.2"
    assert made.annotations == {"a.SIGINT": "host"}


@pytest.mark.parametrize(
    ("key", "field", "expected"),
    [
        ('network = "${env.NET}"', "network", "host"),
        ('outputs = ["${env.APP}/**"]', "outputs", ("/srv/app/**",)),
        ('discard = ["${env.APP}/*.log"]', "discard", ("/srv/app/*.log",)),
        ('hosts = { "${env.HOST}" = "${env.IP}" }', "hosts", (("db.test", "10.0.0.7"),)),
        ('timeout = "${env.SECONDS}"', "timeout", 90.0),
        ('workdir = "${env.APP}//y"', "workdir", "/srv/app/y"),
        ('shell = ["${env.APP}/sh"]', "argv", ("/srv/app/sh", "true")),
        ('pool = "p${env.PORT}"', "pool", "p8080"),
        ('memory = "${env.PORT}k"', "memory", 8080 * 1024),
    ],
)
def test_every_string_of_a_run_step(key, field, expected):
    assert getattr(step(key), field) == expected


def test_mounts():
    made = step(
        'mounts = [{ bind = "src", target = "${env.APP}/in/", include = ["${env.VERSION}/**"] },'
        ' { cache = "c-${env.VERSION}", target = "/c", owner = "${env.OWNER}" },'
        ' { tmpfs = true, target = "/t", size = "${env.PORT}k" }]'
    )
    bind, cache, tmpfs = made.mounts
    assert (bind.target, bind.files.path) == ("/srv/app/in", "src")
    assert bind.files.include == ("1.2/**",)
    assert (cache.id, cache.owner.user, cache.owner.group) == ("c-1.2", 7, 8)
    assert tmpfs.size == 8080 * 1024


def test_steps_that_lay_files_down():
    made = graph(
        '[step.made]\non = ["box"]\nrun = "true"\n'
        '[step.c]\non = ["box"]\n'
        'copy = [{ from = "src", to = "/first/" }, { from = "step:made", path = "${env.APP}/out",'
        ' to = "${env.APP}/", owner = "${env.OWNER}" }]\n'
        '[step.w]\non = ["box"]\nwrite = { "${env.APP}/p" = "${env.PORT}" }\n'
        'links = { "/app" = "${env.APP}" }\ndirs = { "/d" = { owner = "${env.OWNER}" } }\n'
    ).steps
    first, second = made["step:c"].parts
    assert first.to == "/first/"
    assert (second.to, second.files.path, second.owner.user) == ("/srv/app/", "/srv/app/out", 7)
    assert second.files.stack == ("base:box", "step:made")
    assert made["step:c"].names == (), (
        "numbers need no look-up, so nothing below is part of the key"
    )
    items = {item.path: item.value for item in made["step:w"].items}
    assert items == {"/srv/app/p": "8080", "/d": "", "/app": "/srv/app"}


def test_a_config_that_was_itself_filled_in_is_handed_on():
    made = graph(
        '[image.a]\non = ["box"]\nexpose = ["${env.PORT}"]\nenv = { NEXT = "${env.PORT}0" }\n'
        '[image.b]\non = ["a"]\nexpose = ["1${env.SIG}"]\n'.replace("1${env.SIG}", "${env.NEXT}")
        .replace("${env.PORT}0", "9090")
    )  # fmt: skip
    assert made.images["b"].config.exposed == ("8080/tcp", "9090/tcp")


@pytest.mark.parametrize(
    ("kind", "key", "code", "told"),
    [
        ("image", 'expose = ["${env.SIG}"]', "bad-port", '"SIGINT"'),
        ("image", 'tags = ["a:${env.PORT} x"]', "bad-reference", "'a:8080 x'"),
        ("image", 'repository = "${env.APP}"\ntags = [":1"]', "bad-reference", "/srv/app"),
        ("image", 'volumes = ["${env.PORT}"]', "relative-destination", '"8080"'),
        ("image", 'stop-signal = "${env.NET}"', "wrong-value", '"host"'),
        ("image", 'user = "${env.NOTHING}"', "wrong-value", "user is empty"),
        ("image", 'compression = "${env.NET}"', "wrong-value", '"host"'),
        ("image", 'volumes = ["${env.PROT}"]', "unknown-env", "${env.PROT}"),
        ("step", 'network = "${env.SIG}"', "wrong-value", '"SIGINT"'),
        ("step", 'workdir = "${env.PORT}"', "relative-destination", '"8080"'),
        ("step", 'outputs = ["${env.PORT}"]', "relative-glob", '"8080"'),
        ("step", 'hosts = { a = "${env.HOST}" }', "wrong-value", "'db.test'"),
        ("step", 'mounts = [{ cache = "/${env.NET}", target = "/c" }]', "bad-cache-id", '"/host"'),
        ("step", 'env = { A = "${env.NTE}" }', "unknown-env", "${env.NTE}"),
    ],
)  # fmt: skip
def test_a_value_that_is_wrong_is_told_at_its_line(kind, key, code, told):
    with pytest.raises(ErrorGroup) as caught:
        (image if kind == "image" else step)(key)
    [error] = caught.value.errors
    assert error.code == code
    assert told in error.message
    assert error.where.excerpt == key.split("\n")[0]


def test_a_name_that_is_nearly_one_is_offered():
    with pytest.raises(ErrorGroup) as caught:
        image(
            'volumes = ["/${env.VERSON}"]\nexpose = ["${env.PRT}"]\nlabels = { a = "${env.HOTS}" }'
        )
    hints = [error.hint for error in caught.value.errors]
    assert hints == [f'did you mean "${{env.{name}}}"?' for name in ("VERSION", "PORT", "HOST")]


def test_all_tables_are_told_at_once_and_none_twice():
    with pytest.raises(ErrorGroup) as caught:
        graph(
            '[image.a]\non = ["box"]\nexpose = ["${env.SIG}", "${env.NET}"]\n'
            '[image.b]\non = ["a"]\n[image.c]\non = ["box"]\nvolumes = ["${env.SIG}"]\n'
        )
    found = [(error.where.line, error.code) for error in caught.value.errors]
    assert found == [(8, "bad-port"), (8, "bad-port"), (13, "relative-destination")]


def test_two_images_with_one_tag_in_the_end():
    with pytest.raises(ErrorGroup) as caught:
        graph('[image.a]\non = ["box"]\ntags = ["x:1.2"]\n[image.b]\non = ["box"]\ntags = ["x:${env.VERSION}"]\n')  # fmt: skip
    assert [error.code for error in caught.value.errors] == ["duplicate-tag"]


def test_two_keys_that_become_one():
    with pytest.raises(ErrorGroup) as caught:
        image('annotations = { "${env.SIG}" = "a", SIGINT = "b" }')
    assert [error.code for error in caught.value.errors] == ["duplicate-key"]


@pytest.mark.parametrize(
    "table",
    [
        '[step.s]\non = ["${env.A}"]\nrun = "x"',
        '[step.s]\non = ["box"]\nwith = ["${env.A}"]\noutputs = []\nrun = "x"',
        '[step.s]\non = ["box"]\nrun = { file = "${env.A}" }',
        '[step.s]\non = ["box"]\ncopy = [{ from = "${env.A}", to = "/x" }]',
        '[step.s]\non = ["box"]\nrun = "x"\nmounts = [{ bind = "${env.A}", target = "/x" }]',
        '[step.s]\non = ["box"]\nrun = "x"\nplatforms = ["${env.A}"]',
        '[image.i]\non = ["box"]\nchecks = ["${env.A}"]',
        '[image.i]\non = ["box"]\nunset = { "${env.A}" = true }',
    ],
)
def test_what_a_table_is_made_of_cannot_wait(table):
    assert codes(table) == ["env-too-late"]


def test_a_first_reading_finds_what_is_wrong_whatever_the_config():
    text = """
        [image.i]
        on = ["box"]
        expose = ["${env.PORT}"]
        volumes = ["relative"]
        workdri = "${env.APP}"
        healthcheck = { tset = "${env.APP}" }
    """
    assert mistakes(text) == [
        'relative-destination: "relative" is relative, and a volume begins with /',
        "unknown-key: [image.i] has no key 'workdri'",
        "unknown-key: [image.i.healthcheck] has no key 'tset'",
    ]


def test_names_that_became_others_stay_so():
    made = graph(
        '[base.linked]\nimage = "shop/tools:1"\n[image.tools]\non = ["box"]\ntags = ["shop/tools:1"]\n'
        '[step.c]\non = ["linked"]\ncopy = [{ from = "base:linked", path = "${env.APP}", to = "/x/" }]\n'
        '[step.r]\non = ["linked"]\nwith = ["linked"]\noutputs = ["/x"]\nrun = "x"\nnetwork = "${env.NET}"\n'
        'mounts = [{ bind = "base:linked", target = "${env.APP}" }]\n'
    ).steps
    assert made["step:c"].parts[0].files.stack == ("base:box",)
    assert made["step:r"].mounts[0].files.stack == ("base:box",)
    assert made["step:r"].tools == ("base:box",)


def test_each_platform_has_its_own_values():
    text = '[image.i]\non = ["box"]\nrepository = "x"\ntags = [":${env.ARCH}", ":all"]\n'
    model_of = {p: model(text, platform=p) for p in (AMD, ARM)}
    both = joined(model_of, (AMD, ARM), AMD)
    facts = {
        base.name: BaseFacts(
            FACTS.layers, replace(Config.empty(base.platform), env=(("ARCH", base.platform.arch),))
        )
        for base in both.bases.values()
    }
    made = lower(both, facts, {}, AMD)
    tags = {name: found.tags for name, found in made.images.items()}
    assert tags == {"i@linux/amd64": ("x:amd64",), "i@linux/arm64": ("x:arm64",)}
    assert made.families["image:i"].tags == ("x:all",)
