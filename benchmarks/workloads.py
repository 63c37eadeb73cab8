"""The workloads that the rows measure, written as workspaces with a Buildfile.toml.

W1  40 services on 3 shared bases over Debian, 5 libraries: 8,900 files, 46 MB. A service copies two or three libraries
    and its own 200 files, runs one command over them, and has env, label and cmd. Dockerfiles of the same lie there.
W2  one image of 50,000 small files (234 MB) and 501 MB of big ones, on nothing.
W3  300 images of one file each, on nothing.
W4  50 commands in a row; 40 independent commands.
W5  a Dockerfile of 20 instructions, with 5,000 files of context.

Each generator makes DIR, which must not exist. `scale` makes a smaller one of the same shape, to try things out.
"""

from pathlib import Path
from random import Random
from typing import NamedTuple

import trees

SEED = 20_261_123
MB = 1_000_000
COMMAND = "find /app /libs -type f | sort | xargs sha256sum > /manifest"


class Shop(NamedTuple):
    """W1 as it was written: where; how many steps a cold build executes; what its Dockerfiles make, in the order in
    which they must be built; and a file of one service, to be edited.
    """

    dir: Path
    steps: int
    dockerfiles: tuple[tuple[str, Path], ...]
    edited: Path


class Service(NamedTuple):
    name: str
    base: int
    libraries: tuple[int, ...]


def w1(folder: Path, base: Path, scale: float = 1.0, prefix: str = "") -> Shop:
    """W1 on the root filesystem archive BASE; its Dockerfiles start from the image `localhost/bench/debian`.

    PREFIX comes before every tag.
    """
    random = Random(SEED)
    pool = trees.words(random)
    services = [
        Service(f"svc{k:02d}", k % 3, tuple(sorted(random.sample(range(5), 2 + k % 2))))
        for k in range(max(2, round(40 * scale)))
    ]
    folder.mkdir(parents=True)
    for k in range(5):
        trees.write(folder / f"libs/lib{k}", random, pool, 180, 900_000)
    for service in services:
        trees.write(folder / "services" / service.name, random, pool, 200, 1_037_500)
    (folder / "Buildfile.toml").write_text(_shop_buildfile(base, services, prefix))
    dockerfiles = tuple(_shop_dockerfiles(folder, services))
    libraries = {k for service in services for k in service.libraries}
    steps = min(3, len(services)) + len(libraries) + 2 * len(services)
    return Shop(folder, steps, dockerfiles, folder / "services/svc01/part000/unit03/file00066.py")


def _shop_buildfile(base: Path, services: list[Service], prefix: str) -> str:
    parts = [_workspace("w1", "all"), f'[base.debian]\nrootfs = "{base}"']
    parts += [
        f'[step.base{k}]\non = ["debian"]\nrun = "mkdir -p /opt/base && echo {k} > /opt/base/name"'
        for k in range(3)
    ]
    parts += [
        f'[step.lib{k}]\ncopy = [{{ from = "libs/lib{k}", to = "/libs/lib{k}/" }}]'
        for k in range(5)
    ]
    for name, base_number, libraries in services:
        stack = [f"base{base_number}", *(f"lib{k}" for k in libraries), f"{name}-src"]
        parts += [
            f'[step.{name}-src]\ncopy = [{{ from = "services/{name}", to = "/app/" }}]',
            f'[step.{name}-manifest]\non = {_list(stack)}\nrun = "{COMMAND}"',
            _shop_image(name, prefix),
        ]
    parts.append(f"[group.all]\ntargets = {_list([service.name for service in services])}")
    return _document(parts)


def _shop_image(name: str, prefix: str) -> str:
    return (
        f'[image.{name}]\non = ["{name}-manifest"]\nenv = {{ SERVICE = "{name}" }}\n'
        f'labels = {{ service = "{name}" }}\ncmd = ["/bin/sh"]\ntags = ["{prefix}bench/{name}:latest"]'
    )


def _shop_dockerfiles(folder: Path, services: list[Service]) -> list[tuple[str, Path]]:
    made = []
    (folder / "docker").mkdir()

    def put(name: str, *lines: str) -> None:
        file = folder / "docker" / f"{name}.Dockerfile"
        file.write_text("\n".join(lines) + "\n")
        made.append((f"localhost/bench/{name}", file))

    for k in range(3):
        command = f"RUN mkdir -p /opt/base && echo {k} > /opt/base/name"
        put(f"base{k}", "FROM localhost/bench/debian", command)
    for name, base_number, libraries in services:
        put(
            name,
            f"FROM localhost/bench/base{base_number}",
            *(f"COPY libs/lib{k} /libs/lib{k}/" for k in libraries),
            f"COPY services/{name} /app/",
            f"RUN {COMMAND}",
            f"ENV SERVICE={name}",
            f"LABEL service={name}",
            'CMD ["/bin/sh"]',
        )
    return made


def w2(folder: Path, *, compression: str = "gzip", big: bool = True, scale: float = 1.0) -> Path:
    """W2; without its big files if not BIG. Returns the folder of the small files."""
    random = Random(SEED + 2)
    pool = trees.words(random)
    small = folder / "files"
    trees.write(small, random, pool, round(50_000 * scale), round(234 * MB * scale))
    if big:
        trees.write_big(folder / "big", random, pool, round(501 * MB * scale))
    steps = ["files", "big"] if big else ["files"]
    parts = [_workspace("w2", "data"), "[base.empty]\nscratch = true"]
    parts += [f'[step.{s}]\ncopy = [{{ from = "{s}", to = "/{s}/" }}]' for s in steps]
    parts.append(
        f'[image.data]\non = {_list(["empty", *steps])}\ncompression = "{compression}"\n'
        'tags = ["bench/data:latest"]'
    )
    (folder / "Buildfile.toml").write_text(_document(parts))
    return small


def w3(folder: Path, scale: float = 1.0) -> None:
    random = Random(SEED + 3)
    folder.mkdir(parents=True)
    names = [f"one{k:03d}" for k in range(max(2, round(300 * scale)))]
    parts = [_workspace("w3", "all"), "[base.empty]\nscratch = true"]
    for name in names:
        trees.put(folder / f"{name}.txt", trees.words(random, 1000))
        parts += [
            f'[step.{name}-file]\ncopy = [{{ from = "{name}.txt", to = "/data/" }}]',
            f'[image.{name}]\non = ["empty", "{name}-file"]\ntags = ["bench/{name}:latest"]',
        ]
    parts.append(f"[group.all]\ntargets = {_list(names)}")
    (folder / "Buildfile.toml").write_text(_document(parts))


def w4_sequence(folder: Path, base: Path, count: int = 50) -> None:
    """COUNT commands, each on the one before. The comment gives each a key of its own: none may answer for another."""
    parts = [_workspace("w4", "deep"), f'[base.box]\nrootfs = "{base}"']
    below = "box"
    for k in range(count):
        parts.append(f'[step.s{k:02d}]\non = ["{below}"]\nrun = "true # {k}"')
        below = f"s{k:02d}"
    parts.append(f'[image.deep]\non = ["{below}"]')
    folder.mkdir(parents=True)
    (folder / "Buildfile.toml").write_text(_document(parts))


def w4_wide(folder: Path, base: Path, count: int = 40) -> None:
    """COUNT independent commands that wait for 0.2 seconds."""
    names = [f"s{k:02d}" for k in range(count)]
    parts = [_workspace("w4", "all"), f'[base.box]\nrootfs = "{base}"']
    parts += [f'[step.{n}]\non = ["box"]\nrun = "sleep 0.2 # {n}"' for n in names]
    parts.append(f"[group.all]\ntargets = {_list(names)}")
    folder.mkdir(parents=True)
    (folder / "Buildfile.toml").write_text(_document(parts))


DOCKERFILE = """FROM bench/box AS build
ARG VERSION=1
ENV LANG=C.UTF-8 APP=/app
LABEL org.opencontainers.image.title=bench
WORKDIR /app
COPY src/part000 first/
RUN true # one
COPY src/part001/ second/
RUN true # two
COPY --chown=7:7 . .
RUN true # three $VERSION
RUN --mount=type=cache,target=/cache true # four
RUN --mount=type=bind,source=src/part002,target=/in true # five
FROM bench/box
COPY --from=build /app /app
WORKDIR /app
ENV PORT=8080
EXPOSE 8080
USER 7
CMD ["sleep", "1"]
"""


def w5(folder: Path, scale: float = 1.0) -> int:
    """A context with its Dockerfile, on the image of :func:`box`. The steps that a cold build executes."""
    random = Random(SEED + 5)
    folder.mkdir(parents=True)
    count = max(2000, round(5000 * scale))
    trees.write(folder / "src", random, trees.words(random), count, count * 5000)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / ".dockerignore").write_text(".git\n*.tmp\n**/__pycache__\n")
    instructions = set(DOCKERFILE.splitlines())  # an equal WORKDIR is made once
    return sum(line.startswith(("RUN", "COPY", "WORKDIR")) for line in instructions)


def box(folder: Path, base: Path) -> None:
    """An image of BASE with a name, for Dockerfiles to begin with."""
    folder.mkdir(parents=True)
    parts = [_workspace("box", "box"), f'[base.root]\nrootfs = "{base}"']
    parts.append('[image.box]\non = ["root"]\ntags = ["bench/box:latest"]')
    (folder / "Buildfile.toml").write_text(_document(parts))


def primer(folder: Path, base: Path) -> None:
    """One command on BASE: after it, a store has the base unpacked and nothing else of a workload."""
    parts = [_workspace("primer", "primer"), f'[base.root]\nrootfs = "{base}"']
    parts.append('[step.primer]\non = ["root"]\nrun = "true"')
    folder.mkdir(parents=True)
    (folder / "Buildfile.toml").write_text(_document(parts))


def _workspace(name: str, default: str) -> str:
    return f'buildfile = 1\n\n[workspace]\nname = "{name}"\ndefault = ["{default}"]'


def _list(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _document(parts: list[str]) -> str:
    return "\n\n".join(parts) + "\n"
