"""One model of several: what stays one table, what becomes one for each platform, and what names stand for."""

import pytest

from buildgraph.errors import Location
from buildgraph.names import Platform, labelled, unlabelled
from buildgraph.spec import model as m
from buildgraph.spec.part import bases_of, without
from buildgraph.spec.platforms import joined

AMD, ARM, MIPS = (
    Platform("linux", "amd64"),
    Platform("linux", "arm64"),
    Platform("linux", "mips64le"),
)
HERE = Location("Buildfile.toml", 1)


def base(name: str, platform: Platform | None = None) -> m.Base:
    return m.Base(name, "layout", HERE, name, platform=platform)


def run(name: str, *on: m.Ref, text: str = "true", build: bool = False) -> m.Step:
    return m.Step(name, m.Run(m.Text((text,))), HERE, on, platform_build=build)


def copy(name: str, source: m.Ref | None = None) -> m.Step:
    path = "/" if source else "src"
    return m.Step(name, m.Copy((m.CopyItem(m.Selection(path, source), "/app/", HERE),)), HERE)


def image(name: str, *on: m.Ref, tags: tuple[str, ...] = ()) -> m.Image:
    return m.Image(name, on, HERE, tags=tags)


def model(platform: Platform, *tables: m.Base | m.Step | m.Image) -> m.Model:
    kinds: dict[type, dict] = {m.Base: {}, m.Step: {}, m.Image: {}}
    for table in tables:
        kinds[type(table)][table.name] = table
    images = tuple(ref("image", name) for name in kinds[m.Image])
    workspace = m.Workspace("w", images, platform)
    return m.Model(workspace, kinds[m.Base], kinds[m.Step], kinds[m.Image], {}, {})


def ref(kind: m.RefKind, name: str) -> m.Ref:
    return m.Ref(kind, name)


BOX, SRC, DEPS = ref("base", "box"), ref("step", "src"), ref("step", "deps")


def plain(platform: Platform) -> m.Model:
    return model(platform, base("box"), run("deps", BOX), copy("src"), image("app", BOX, DEPS, SRC))


def both(make=plain) -> m.Model:
    return joined({p: make(p) for p in (AMD, ARM)}, (AMD, ARM), AMD)


def test_files_of_the_context_are_shared_and_commands_are_not():
    made = both()
    assert set(made.steps) == {"deps@linux/amd64", "deps@linux/arm64", "src"}
    assert made.steps["deps@linux/arm64"].platform == ARM
    assert made.steps["deps@linux/arm64"].on == (ref("base", "box@linux/arm64"),)
    assert made.bases["box@linux/arm64"].platform == ARM
    assert made.images["app@linux/arm64"].on == (
        ref("base", "box@linux/arm64"),
        ref("step", "deps@linux/arm64"),
        SRC,
    )
    assert made.variants[DEPS] == (
        (AMD, ref("step", "deps@linux/amd64")),
        (ARM, ref("step", "deps@linux/arm64")),
    )
    assert SRC not in made.variants
    assert made.workspace.default == (ref("image", "app"),)


def test_what_copies_from_what_differs_is_another():
    def make(platform: Platform) -> m.Model:
        one = run("out", BOX)
        return model(platform, base("box"), one, copy("got", ref("step", "out")), image("app", BOX))

    made = both(make)
    got = made.steps["got@linux/arm64"].kind
    assert isinstance(got, m.Copy)
    assert got.items[0].source.ref == ref("step", "out@linux/arm64")


def test_a_build_step_is_that_of_the_machine_for_all():
    def make(platform: Platform) -> m.Model:
        made = run("gen", BOX, text=f"for {platform}", build=True)
        return model(
            platform, base("box"), made, copy("got", ref("step", "gen")), image("app", BOX)
        )

    made = both(make)
    assert {"gen", "got"} <= set(made.steps)
    assert made.steps["gen"].platform == AMD
    assert made.steps["gen"].on == (ref("base", "box@linux/amd64"),)


def test_a_build_step_of_a_machine_that_nobody_builds_for():
    """Only what it rests on is taken from the machine's model, and names go to those who were asked for."""

    def make(platform: Platform) -> m.Model:
        made = run("gen", BOX, build=True)
        got = copy("got", ref("step", "gen"))
        return model(platform, base("box"), made, got, run("deps", BOX), image("app", BOX, DEPS))

    made = joined({p: make(p) for p in (ARM, AMD)}, (ARM,), AMD)
    assert set(made.bases) == {"box", "box@linux/amd64"}
    assert made.bases["box"].platform == ARM
    assert made.steps["gen"].on == (ref("base", "box@linux/amd64"),)
    assert set(made.steps) == {"gen", "got", "deps"}
    assert set(made.images) == {"app"}
    assert made.variants == {}


def test_a_table_that_one_platform_lacks():
    def make(platform: Platform) -> m.Model:
        more = [run("only", BOX)] if platform == ARM else []
        return model(
            platform, base("box"), *more, image("app", BOX, *(ref("step", s.name) for s in more))
        )

    made = both(make)
    assert set(made.steps) == {"only"}
    assert made.steps["only"].on == (ref("base", "box@linux/arm64"),)
    assert made.images["app@linux/arm64"].on[1:] == (ref("step", "only"),)


def test_two_of_three_platforms_can_share():
    def make(platform: Platform) -> m.Model:
        return model(platform, copy("src") if platform != MIPS else copy("src", BOX), base("box"))

    made = joined({p: make(p) for p in (AMD, ARM, MIPS)}, (AMD, ARM, MIPS), AMD)
    called = [variant.name for _, variant in made.variants[SRC]]
    assert called == ["src@linux/amd64", "src@linux/amd64", "src@linux/mips64le"]


def test_checks_that_stand_on_their_image_are_of_its_platform():
    def make(platform: Platform) -> m.Model:
        app = m.Image("app", (BOX,), HERE, checks=(ref("step", "test"),))
        return model(platform, base("box"), run("test", ref("image", "app")), app)

    made = both(make)
    assert made.images["app@linux/arm64"].checks == (ref("step", "test@linux/arm64"),)
    assert made.steps["test@linux/arm64"].on == (ref("image", "app@linux/arm64"),)


def test_a_name_means_all_its_variants():
    made = both()
    wanted = (ref("image", "app"),)
    assert bases_of(made, wanted) == {"box@linux/amd64", "box@linux/arm64"}
    left = without(made, ["box@linux/amd64"])
    assert [name for _, name in left.variants[ref("image", "app")]] == [
        ref("image", "app@linux/arm64")
    ]
    gone = without(made, ["box@linux/amd64", "box@linux/arm64"])
    assert gone.workspace.default == ()
    assert set(gone.steps) == {"src"}


@pytest.mark.parametrize("name", ["deps", "debian@sha256:" + "0" * 64, "box@linux", "a@b/c"])
def test_labels_come_off_as_they_went_on(name):
    for platform in (AMD, Platform("linux", "arm", "v7")):
        assert unlabelled(labelled(name, platform)) == name
    assert unlabelled(name) == name
