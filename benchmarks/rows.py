"""The rows of the table: what is measured, against what, and the bar.

In a row the two sides take turns (A B A B …) in one run, so that a machine that is busy or slow is so for both. The
ratio is that of the medians.
"""

import contextlib
import functools
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import library
import pushes
import registries
import roots
import workloads
import yardsticks
from bench import Bench
from measure import Ran, peak, timed


class Outcome(NamedTuple):
    """Both sides' figures. Where the yardstick is a constant, `theirs` is that constant; MB where `unit` says so."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    unit: str = "s"
    note: str = ""

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.theirs)


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    work: str
    yardstick: str
    bar: float | None  # times the yardstick; None: a figure without a bar
    measure: Callable[[Bench], Outcome] = field(compare=False)
    needs: tuple[str, ...] = ()


def turns(rounds: int, ours: Callable[[], Ran], theirs: Callable[[], Ran]) -> Outcome:
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    cpu = [
        statistics.median(side) for side in zip(*((a.cpu, b.cpu) for a, b in pairs), strict=True)
    ]
    note = f"CPU {cpu[0]:.3f} s and {cpu[1]:.3f} s, {cpu[0] / cpu[1]:.2f} x"
    return Outcome(tuple(a.wall for a, _ in pairs), tuple(b.wall for _, b in pairs), note=note)


def no_op(workspace: Path, home: Path, bench: Bench) -> Outcome:
    bench.build_counted(workspace, home, 0)
    git = ["git", "status"]

    def ours() -> Ran:
        return bench.build(workspace, home, sync=False)

    def theirs() -> Ran:
        return timed(git, workspace, yardsticks.git_env(), sync=False)

    turns(1, ours, theirs)  # what is read for the first time is read now
    return turns(bench.rounds * 4 + 1, ours, theirs)


def w1_git(bench: Bench) -> Outcome:
    return no_op(*bench.committed_shop, bench)


def w2_git(bench: Bench) -> Outcome:
    return no_op(*bench.committed_files, bench)


def w5_git(bench: Bench) -> Outcome:
    return no_op(*bench.committed_context, bench)


def copy_plain(bench: Bench) -> Outcome:
    workspace, files = bench.small
    return turns(
        bench.rounds,
        lambda: bench.build(workspace, bench.home()),
        lambda: timed(["sh", "-euc", yardsticks.PACKED], files),
    )


def copy_gzip(bench: Bench) -> Outcome:
    workspace, files = bench.small_gzip
    targets = (str(bench.folder / f"piped{k}.tar.gz") for k in range(bench.rounds))
    return turns(
        bench.rounds,
        lambda: bench.build(workspace, bench.home()),
        lambda: timed(["sh", "-euc", yardsticks.COMPRESSED, next(targets)], files),
    )


def sequence(bench: Bench) -> Outcome:
    base, root = roots.busybox_tar(), str(roots.busybox())
    count = bench.scaled(50)
    workspace = bench.folder / "w4-sequence"
    workloads.w4_sequence(workspace, base, count)
    return turns(
        bench.rounds,
        lambda: bench.build_counted(workspace, bench.home(base), count),
        lambda: timed([*yardsticks.sandboxes(count), root], workspace),
    )


def wide(bench: Bench) -> Outcome:
    base = roots.busybox_tar()
    workspace = bench.folder / "w4-wide"
    workloads.w4_wide(workspace, base, 40)
    ran = [
        bench.build_counted(workspace, bench.home(base), 40, "-j", "40").wall
        for _ in range(bench.rounds)
    ]
    return Outcome(tuple(ran), (0.2,))


def memory(bench: Bench) -> Outcome:
    workspace = bench.folder / "w2"
    workloads.w2(workspace, scale=bench.scale)
    peaks = [bench.peak(workspace, bench.home()) for _ in range(min(bench.rounds, 2))]
    largest, name = max(peaks)
    return Outcome(tuple(size for size, _ in peaks), (300.0,), "MB", f"{largest:.0f} MB in {name}")


@contextlib.contextmanager
def buildah(bench: Bench) -> Iterator[yardsticks.Buildah]:
    bench.homes += 1
    made = yardsticks.Buildah(bench.folder / f"buildah{bench.homes}", roots.debian())
    try:
        yield made
    finally:
        made.close()


class ShopOutcome(NamedTuple):
    """One session of W1 with both: cold, then nothing changed, then one file changed."""

    cold: Outcome
    no_op: Outcome
    one_file: Outcome


@functools.cache
def shop_session(bench: Bench) -> ShopOutcome:
    """buildah takes minutes, so it runs once; buildgraph before and after it."""
    shop = bench.shop
    edits = 0

    def cold() -> tuple[Path, float]:
        home = bench.home(roots.debian())
        return home, bench.build_counted(shop.dir, home, shop.steps).wall

    def edit() -> None:
        nonlocal edits
        edits += 1
        with shop.edited.open("a") as out:
            out.write(f"edited = {edits}\n")

    def edited(home: Path) -> float:
        edit()
        return bench.build_counted(shop.dir, home, 2).wall

    with buildah(bench) as other:
        _, first = cold()
        theirs = other.build_all(shop).wall
        home, second = cold()
        colds = Outcome((first, second), (theirs,))
        before = [bench.build(shop.dir, home).wall for _ in range(bench.rounds)]
        theirs = other.build_all(shop).wall
        after = [bench.build(shop.dir, home).wall for _ in range(bench.rounds)]
        no_ops = Outcome((*before, *after), (theirs,))
        before = [edited(home) for _ in range(bench.rounds)]
        theirs = other.build_all(shop).wall
        after = [edited(home) for _ in range(bench.rounds)]
        return ShopOutcome(colds, no_ops, Outcome((*before, *after), (theirs,)))


def w3_cold(bench: Bench) -> Outcome:
    workspace = bench.folder / "w3"
    workloads.w3(workspace, bench.scale)
    ours = [bench.build(workspace, bench.home()).wall for _ in range(bench.rounds)]
    return Outcome(tuple(ours), ())


def w3_no_op(bench: Bench) -> Outcome:
    workspace, home = bench.folder / "w3-again", bench.home()
    workloads.w3(workspace, bench.scale)
    bench.build(workspace, home)
    ours = [bench.build(workspace, home, sync=False).wall for _ in range(bench.rounds * 4 + 1)]
    return Outcome(tuple(ours), ())


def push_blob(bench: Bench) -> Outcome:
    """CPU of the two whole processes; the registry takes its own. Most of ours is the start: the rest is told, too."""
    bench.homes += 1
    with registries.blobs(bench.folder / f"push{bench.homes}", bench.scale) as blobs:
        blobs.push(bench.command)  # what is read for the first time is read now
        pairs = [
            (blobs.push(bench.command), blobs.curl_push()) for _ in range(bench.rounds * 2 + 1)
        ]
        moving = statistics.median(blobs.ours("push")[1] for _ in range(bench.rounds))
    walls = [
        statistics.median(side) for side in zip(*((a.wall, b.wall) for a, b in pairs), strict=True)
    ]
    note = f"the moving alone {moving:.3f} s; wall {walls[0]:.2f} s and {walls[1]:.2f} s"
    ours, theirs = (tuple(ran.cpu for ran in side) for side in zip(*pairs, strict=True))
    return Outcome(ours, theirs, note=note)


def pull_blob(bench: Bench) -> Outcome:
    bench.homes += 1
    with registries.blobs(bench.folder / f"pull{bench.homes}", bench.scale) as blobs:
        blobs.ours("push")
        return turns(bench.rounds, lambda: blobs.ours("pull")[0], blobs.curl_pull)


def blob_memory(bench: Bench) -> Outcome:
    bench.homes += 1
    env = registries.environment()
    with registries.blobs(bench.folder / f"blob{bench.homes}", bench.scale) as blobs:
        peaks = [peak(blobs.argv(verb), registries.HERE, env)[0] for verb in ("push", "pull")]
    return Outcome((max(peaks),), (80.0,), "MB", "push {:.0f} MB, pull {:.0f} MB".format(*peaks))


def push_no_op(bench: Bench) -> Outcome:
    return Outcome(pushes.shop(bench).no_op, (pushes.NO_OP,))


def push_requests(bench: Bench) -> Outcome:
    return Outcome(pushes.shop(bench).requests, (pushes.REQUESTS,), "")


def push_bytes(bench: Bench) -> Outcome:
    measured = pushes.shop(bench)
    uploaded, new = ([size / 1e3 for size in side] for side in (measured.uploaded, measured.new))
    return Outcome(tuple(uploaded), tuple(new), "kB")


def dockerfile_parse(bench: Bench) -> Outcome:
    return Outcome(tuple(library.parse_dockerfile(bench.rounds * 4, bench.scale)), (0.03,))


def ignore_match(bench: Bench) -> Outcome:
    return Outcome(tuple(library.match_paths(bench.rounds, bench.scale)), (1.0,))


BUILDAH = "`buildah bud --layers` of the same, runc"
ROWS = (
    Row("w1-git", "no-op of W1, whole process", "`git status`", 3.0, w1_git, ("git", "mmdebstrap")),
    Row("w2-git", "no-op of 50,000 files", "`git status`", 1.8, w2_git, ("git",)),
    Row(
        "w5-git",
        "no-op of a Dockerfile of 20 instructions, 5,000 files",
        "`git status`",
        2.0,
        w5_git,
        ("git",),
    ),
    Row(
        "copy",
        "copy layer of 50,000 files, uncompressed, cold",
        "`tar -cf - . \\| sha256sum`",
        1.8,
        copy_plain,
    ),
    Row(
        "copy-gzip",
        "the same, gzip",
        "`tar -cf - . \\| pigz -1` to a file",
        1.0,
        copy_gzip,
        ("pigz",),
    ),
    Row(
        "sequence",
        "50 x `RUN true` in sequence, diff and commit",
        "50 x `bwrap … true`",
        3.0,
        sequence,
        ("bwrap",),
    ),
    Row("wide", "40 independent `sleep 0.2`, `-j 40`", "0.2 s", 6.0, wide),
    Row("memory", "peak memory of any process, W2 with its 501 MB", "300 MB", 1.0, memory),
    Row("dockerfile", "parsing a Dockerfile of 2,000 lines", "0.03 s", 1.0, dockerfile_parse),
    Row("ignore", "100,000 paths against 50 ignore patterns", "1 s", 1.0, ignore_match),
    Row(
        "push-blob",
        "`push` of an image of 134 MB, CPU of the whole process",
        "CPU of `curl -T` of the same",
        1.5,
        push_blob,
        ("docker-registry", "curl"),
    ),
    Row(
        "pull-blob",
        "pull of the same, verified, whole process",
        "`curl \\| sha256sum`",
        1.2,
        pull_blob,
        ("docker-registry", "curl"),
    ),
    Row(
        "blob-memory",
        "peak memory of both",
        "80 MB",
        1.0,
        blob_memory,
        ("docker-registry",),
    ),
    Row(
        "push-no-op",
        "no-op of W1 with push of its 40 images",
        "0.3 s",
        1.0,
        push_no_op,
        ("docker-registry", "mmdebstrap"),
    ),
    Row(
        "push-requests",
        "requests beyond HEADs of manifests, W1 pushed after one file changed",
        "45",
        1.0,
        push_requests,
        ("docker-registry", "mmdebstrap"),
    ),
    Row(
        "push-bytes",
        "bytes uploaded then",
        "new layers, config and manifest",
        1.0,
        push_bytes,
        ("docker-registry", "mmdebstrap"),
    ),
    Row(
        "w1-cold",
        "W1 cold, base unpacked",
        BUILDAH,
        0.08,
        lambda bench: shop_session(bench).cold,
        ("buildah", "runc", "mmdebstrap"),
    ),
    Row(
        "w1-no-op",
        "W1 no-op",
        BUILDAH,
        0.01,
        lambda bench: shop_session(bench).no_op,
        ("buildah", "runc", "mmdebstrap"),
    ),
    Row(
        "w1-one-file",
        "W1, one file changed",
        BUILDAH,
        0.02,
        lambda bench: shop_session(bench).one_file,
        ("buildah", "runc", "mmdebstrap"),
    ),
)
EXTRA = (
    Row("w3-cold", "W3 cold: 300 images of one file", "-", None, w3_cold),
    Row("w3-no-op", "W3 no-op", "-", None, w3_no_op),
)
