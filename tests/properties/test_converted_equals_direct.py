"""Any Dockerfile that ``convert`` takes becomes a Buildfile whose image has the same layers' trees; others it refuses.

The same few are tried each time; ``CONVERTED_EXAMPLES=1000`` tries so many others.
"""

import os
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, event, given, note, settings
from hypothesis import strategies as st
from support.dockerbuilds import Docker
from support.rewritten import converted, opened
from support.workspace import Workspace

from buildgraph.build.request import OutputSpec
from buildgraph.errors import BuildgraphError, ErrorGroup


def site() -> bytes:
    """An archive that lists one folder and leaves another out."""
    made = BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, kind in (
            ("d", tarfile.DIRTYPE),
            ("d/index", tarfile.REGTYPE),
            ("css/x", tarfile.REGTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.uid, member.gid = kind, 0o750, 5, 6
            archive.addfile(member)
    return made.getvalue()


MORE = os.environ.get("CONVERTED_EXAMPLES", "")
SITE = site()
FILES = ("a.txt", "b.md", "sub/c.txt", "sub/d.txt", "sub/deep/e.txt", "d/one")
FOLDERS = ("sub", "sub/deep", "sub/empty", "empty", "d")
LINKS = (("link", "a.txt"), ("sub/up", "../a.txt"), ("folder", "sub"))
modes = st.sampled_from((0o644, 0o644, 0o755, 0o664, 0o600, 0o444))
folder_modes = st.sampled_from((0o755, 0o755, 0o700, 0o775, 0o1777))
masks = st.sampled_from((None, 0o022, 0o002, 0o077))

sources = st.sampled_from(
    (
        *("a.txt", "sub", "sub/", ".", "*.txt", "s*", "link", "folder", "empty", "d", "sub/*"),
        *("sub/deep", "a.txt b.md", "sub a.txt", "sub/*/e.txt", "none*.x a.txt"),
    )
)
targets = st.sampled_from(
    ("/x", "/x/", "/app/", "/app", "/opt", "/opt/d", "/", "rel", "/new/deep/", "/lnk/in", "/tmp/")
)
flags = st.sampled_from(
    (
        *("", "", "", "", "--chown=7", "--chown=7:8", "--chmod=0600", "--chmod=go-w", "--link"),
        *("--chmod=u=rwX,go=rX", "--exclude=*.txt", "--exclude=sub", "--exclude=*", "--parents"),
    )
)
copies = st.builds("COPY {} {} {}".format, flags, sources, targets)
adds = st.builds(
    "ADD {} site.tar {}".format, st.sampled_from(("", "", "--chown=7:8", "--unpack=false")), targets
)
runs = st.sampled_from(
    (
        "RUN mkdir -p /app/deep /x && echo made > /app/deep/file",
        "RUN mkdir -p /app/sub && chmod 0700 /app/sub",
        "RUN mkdir -p -m 0711 /opt/deep/empty /new",
        "RUN ln -s /opt /lnk",
        "RUN echo x > /opt/d/x; chmod 0750 /opt/d",
        "RUN --mount=target=/c cp -r /c/sub /copied",
    )
)
others = st.sampled_from(("WORKDIR /app", "WORKDIR sub", "WORKDIR /opt/d", "USER 7", "USER root"))
froms = st.builds(
    "COPY --from=first {} {} {}".format,
    st.sampled_from(("", "", "--chown=7", "--chmod=0600")),
    st.sampled_from(
        (
            *("/app", "/app/", "/opt/d", "/x", "/", "/opt/*.txt", "/app/*", "/opt/d/o*", "/new"),
            *("/usr/bin/ls", "/lnk", "/app/sub/", "/copied"),
        )
    ),
    targets,
)
ignores = st.sampled_from(("", "", "", "*.md", "sub/deep", "*\n!sub\nsub/d.txt", "sub\n!sub/c.txt"))


@st.composite
def dockerfiles(draw: st.DrawFn) -> str:
    plain = st.one_of(copies, copies, adds, others)
    both = st.one_of(copies, copies, runs, runs, others, adds)
    lines = []
    first, last = (
        draw(st.sampled_from(("box", "box", "scratch"))),
        draw(st.sampled_from(("box", "box", "scratch"))),
    )
    if draw(st.booleans()):
        lines = [f"FROM {first} AS first"]
        lines += draw(st.lists(both if first == "box" else plain, min_size=1, max_size=3))
    several = bool(lines)
    lines += [f"FROM {last}"]
    step = both if last == "box" else plain
    step = st.one_of(step, froms, froms) if several else step
    return "\n".join([*lines, *draw(st.lists(step, min_size=1, max_size=4))]) + "\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("converted")


@settings(
    max_examples=int(MORE or 25),
    derandomize=not MORE,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    text=dockerfiles(),
    mask=masks,
    odd=st.dictionaries(st.sampled_from(FILES), modes, max_size=2),
    folders=st.dictionaries(st.sampled_from(FOLDERS), folder_modes, max_size=2),
    ignored=ignores,
)
def test_refused_or_the_same(
    place: Path,
    text: str,
    mask: int | None,
    odd: dict[str, int],
    folders: dict[str, int],
    ignored: str,
) -> None:
    docker = context(place, mask, odd, folders)
    docker.write(".dockerignore", ignored)
    docker.write("Dockerfile", text)
    try:
        first = archive(docker.workspace, "first", **docker.request())
    except (BuildgraphError, ErrorGroup) as error:
        note(str(error))
        event("no build")
        return
    try:
        made = converted(docker)
    except (BuildgraphError, ErrorGroup) as error:
        errors = error.errors if isinstance(error, ErrorGroup) else [error]
        assert {e.code for e in errors} == {"cannot-convert"}
        assert all(e.where.line and e.hint for e in errors)
        event("refused")
        return
    note(made.text)
    made.file.write_text(made.text)
    second = archive(docker.workspace, "second")
    told = "is a folder, it brings" in made.text or "in folders that match" in made.text
    event("told" if told else "the same")
    if told:
        return
    assert final(second) == final(first)
    rest = iter(second)
    assert all(layer in rest for layer in first), "a layer is cut otherwise"


def context(place: Path, mask: int | None, odd: dict[str, int], folders: dict[str, int]) -> Docker:
    ws = Workspace(Path(tempfile.mkdtemp(prefix="ws", dir=place)) / "app", place / "home")
    ws.folder.mkdir()
    docker = Docker(ws.base())
    root = ws.folder / "ctx"
    for name in FILES:
        docker.write(name, name, odd.get(name, 0o666 & ~(mask or 0o022)))
    for name in FOLDERS:
        (root / name).mkdir(exist_ok=True)
        (root / name).chmod(folders.get(name, 0o777 & ~(mask or 0o022)))
    for name, target in LINKS:
        os.symlink(target, root / name)
    (root / "site.tar").write_bytes(SITE)
    return docker


def archive(workspace: Workspace, name: str, **asked: object) -> list[list[str]]:
    out = workspace.folder.parent / f"{name}.tar"
    workspace.build(outputs=(OutputSpec("oci-archive", str(out)),), **asked)
    layers = [[line for line in one if line[0] != "."] for one in opened(out.read_bytes())[1]]
    return [one for one in layers if one]


def final(found: list[list[str]]) -> dict[str, str]:
    """What lies where in the end; a folder is listed again by each layer that goes through it."""
    return {line.split(" ")[0]: line for layer in found for line in layer}
