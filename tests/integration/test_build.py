"""Whole builds in real sandboxes: what runs, what is reused, and why."""

import os
import subprocess

import pytest
from support.workspace import Workspace, digests

from buildgraph.errors import BuildgraphError, DifferenceError, StepFailedError, UsageError

SHOP = """
[workspace]
default = ["api", "web"]
[step.tools]
on = ["box"]
mounts = [{ bind = "tools.txt", target = "/in" }]
run = "mkdir -p /tools; grep -v '^#' /in > /tools/kept"
[step.lib]
copy = [{ from = "lib", to = "/app/lib/" }]
[step.api-src]
copy = [{ from = "api", to = "/app/" }]
[step.web-src]
copy = [{ from = "web", to = "/app/" }]
[step.api-sums]
on = ["box", "tools", "lib", "api-src"]
run = "find /app -type f | sort | xargs sha256sum > /sums"
[image.api]
on = ["api-sums"]
env = { PATH = "/x:${env.PATH}" }
cmd = ["cat", "/sums"]
[image.web]
on = ["box", "lib", "web-src"]
"""


@pytest.fixture
def shop(tmp_path):
    return make_shop(Workspace.make(tmp_path))


def make_shop(workspace):
    workspace.base()
    workspace.write("tools.txt", "# comment\nkept\n")
    workspace.write("lib/l.py", "x = 1\n")
    workspace.write("api/a.py", "y = 1\n")
    workspace.write("web/w.py", "z = 1\n")
    workspace.buildfile(SHOP)
    return workspace


def test_a_second_build_runs_nothing(shop):
    first = shop.build()
    assert shop.ran() == {"tools", "lib", "api-src", "web-src", "api-sums"}
    second = shop.build()
    assert shop.ran() == set()
    assert digests(first) == digests(second)


def test_one_changed_file_runs_what_reads_it(shop):
    before = shop.digests()
    shop.write("api/a.py", "y = 2\n")
    after = digests(shop.build())
    assert shop.ran() == {"api-src", "api-sums"}
    assert before["web"] == after["web"]
    assert before["api"] != after["api"]


def test_equal_output_stops_the_wave(shop):
    before = shop.digests()
    shop.write("tools.txt", "# another comment\nkept\n")
    assert digests(shop.build()) == before
    assert shop.ran() == {"tools"}
    assert shop.outcomes()["api-sums"] == "cutoff"


def test_a_forced_step_with_equal_output_stops_the_wave(shop):
    shop.build()
    shop.build(rebuild=("tools",))
    assert shop.ran() == {"tools"}
    assert shop.outcomes()["api-sums"] == "cutoff"


def test_a_change_taken_back_runs_nothing(shop):
    shop.build()
    shop.write("api/a.py", "y = 2\n")
    shop.build()
    shop.write("api/a.py", "y = 1\n")
    shop.build()
    assert shop.ran() == set()


def test_the_digest_is_the_same_everywhere(tmp_path):
    ways = []
    for name, umask, jobs in (("one", 0o022, 1), ("two", 0o077, 8)):
        before = os.umask(umask)
        try:
            folder = tmp_path / name
            folder.mkdir()
            ways.append(digests(make_shop(Workspace.make(folder, name)).build(jobs=jobs)))
        finally:
            os.umask(before)
    assert ways[0] == ways[1]


def test_a_failing_step_says_what_it_said_and_records_nothing(shop):
    shop.buildfile(SHOP + '\n[step.bad]\non = ["box"]\nrun = "echo before; false; echo after"\n')
    summary = shop.attempt("bad")
    [failure] = summary.failures
    assert isinstance(failure, StepFailedError)
    assert failure.code == "step-failed"
    assert failure.detail == ("before",)
    assert "exit code 1" in failure.message
    assert failure.where is not None
    assert "false" in failure.where.excerpt
    shop.attempt("bad")
    assert shop.outcomes()["bad"] == "failed"


def test_keep_going_builds_what_does_not_need_the_failure(shop):
    text = SHOP.replace("find /app -type f", "false; find /app -type f")
    shop.buildfile(text)
    summary = shop.attempt(keep_going=True)
    assert not summary.ok
    assert [image.target for image in summary.images] == ["web"]


def test_a_timeout_ends_the_step(shop):
    shop.buildfile('[step.slow]\non = ["box"]\ntimeout = "300ms"\nrun = "sleep 60"\n')
    [failure] = shop.attempt("slow").failures
    assert failure.code == "step-timeout"
    assert "its timeout of 0.3 s" in failure.message


def test_retry_tries_again(shop):
    shop.buildfile(
        '[step.flaky]\non = ["box"]\nretry = { attempts = 3, on = [75] }\n'
        'mounts = [{ cache = "state", target = "/state" }]\n'
        'run = "echo x >> /state/tries; test $(wc -l < /state/tries) -ge 3 || exit 75"\n'
    )
    shop.build("flaky")
    assert shop.ran() == {"flaky"}


def test_require_cached_runs_nothing(shop):
    with pytest.raises(DifferenceError, match="would run"):
        shop.build(require_cached=True)
    shop.build()
    shop.build(require_cached=True)


def test_secrets_are_seen_and_nowhere_kept(shop):
    shop.environ["TOKEN"] = "s3cr3t-v4lue"
    shop.buildfile(
        '[secret.token]\nenv = "TOKEN"\n[step.use]\non = ["box"]\n'
        'mounts = [{ secret = "token", target = "/run/token", required = true }, { secret = "token", env = "T" }]\n'
        'run = "cat /run/token; echo; echo got $T; test -s /run/token"\n[image.i]\non = ["use"]\n'
    )
    shop.build("i")
    assert shop.output("use") == ["***", "got ***"]
    found = subprocess.run(
        ["grep", "-rl", "s3cr3t-v4lue", str(shop.home)], capture_output=True, text=True, check=False
    )
    assert found.stdout == ""


def test_a_missing_secret_is_an_error_when_its_step_runs(shop):
    shop.buildfile(
        '[secret.token]\nenv = "TOKEN"\n[step.use]\non = ["box"]\n'
        'mounts = [{ secret = "token", target = "/run/token", required = true }]\nrun = "true"\n'
    )
    [failure] = shop.attempt("use").failures
    assert failure.code == "secret-missing"


def test_outputs_and_discard_narrow_the_layer(shop, tmp_path):
    from buildgraph.build.request import OutputSpec

    shop.buildfile(
        '[step.made]\non = ["box"]\noutputs = ["/out/**"]\n'
        'run = "mkdir /out /other; echo a > /out/a; echo b > /other/b"\n'
        '[step.kept]\non = ["box"]\ndiscard = ["/out/*.log"]\nrun = "mkdir /out; echo a > /out/a; echo l > /out/x.log"\n'
    )
    shop.build("made", outputs=(OutputSpec("local", str(tmp_path / "one")),))
    assert sorted(p.name for p in (tmp_path / "one").rglob("*")) == ["a", "out"]
    shop.build("kept", outputs=(OutputSpec("local", str(tmp_path / "two")),))
    assert sorted(p.name for p in (tmp_path / "two").rglob("*")) == ["a", "out"]


def test_copy_from_a_step_is_narrowed_to_its_path(shop):
    shop.buildfile(
        '[step.make]\non = ["box"]\nmounts = [{ bind = "tools.txt", target = "/in" }]\n'
        'run = "mkdir -p /dist; echo page > /dist/index; cat /in > /log"\n'
        '[step.html]\ncopy = [{ from = "step:make", path = "/dist", to = "/srv/" }]\n'
        '[step.use]\non = ["box"]\nmounts = [{ bind = "make", path = "/dist", target = "/d" }]\nrun = "cat /d/index > /used"\n'
        '[image.site]\non = ["box", "html", "use"]\n'
    )
    before = digests(shop.build("site"))
    shop.write("tools.txt", "other\n")
    assert digests(shop.build("site")) == before
    assert shop.ran() == {"make"}


def test_siblings_merge_and_their_deletions_hold_for_their_own_files(shop, tmp_path):
    from buildgraph.build.request import OutputSpec

    shop.buildfile(
        '[step.delete]\non = ["box"]\nrun = "rm -r /opt/d"\n'
        '[step.replace]\non = ["box"]\nrun = "rm -r /opt/d; mkdir /opt/d; echo new > /opt/d/two"\n'
        '[step.bring]\non = ["box"]\nrun = "echo mine > /opt/d/mine"\n'
        '[image.all]\non = ["box", "bring", "delete", "replace"]\n'
    )
    shop.build("all", outputs=(OutputSpec("local", str(tmp_path / "out")),))
    found = {p.name: p.read_text() for p in (tmp_path / "out/opt/d").iterdir()}
    assert found == {"mine": "mine\n", "two": "new\n"}


def test_copies_leave_their_parents_as_they_are(shop, tmp_path):
    from buildgraph.build.request import OutputSpec

    shop.write("x", "x\n")
    shop.buildfile(
        '[step.c]\ncopy = [{ from = "x", to = "/bin/x" }, { from = "x", to = "/tmp/x" }, { from = "x", to = "/root/x" }]\n'
        '[image.i]\non = ["box", "c"]\n'
    )
    out = tmp_path / "out"
    shop.build("i", outputs=(OutputSpec("local", str(out)),))
    assert os.readlink(out / "bin") == "usr/bin"
    assert (out / "usr/bin/x").read_text() == "x\n"
    assert (out / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (out / "root").stat().st_mode & 0o7777 == 0o700


def test_checks_stop_the_publishing(shop):
    shop.buildfile(
        '[step.src]\ncopy = [{ from = "api", to = "/app/" }]\n'
        '[step.test]\non = ["app"]\nrun = "grep -q good /app/a.py"\n'
        '[image.app]\non = ["box", "src"]\nchecks = ["test"]\ntags = ["x/app:1"]\n'
    )
    summary = shop.attempt("app")
    assert not summary.ok
    assert summary.images == ()
    assert shop.build("app", no_checks=True).ok
    shop.write("api/a.py", "good\n")
    assert shop.build("app").ok


def test_a_squashed_image_has_one_layer_of_its_own(shop, tmp_path):
    from buildgraph.build.request import OutputSpec

    text = (
        '[step.a]\non = ["box"]\nrun = "echo a > /a; rm /opt/old"\n'
        '[step.b]\non = ["a"]\nrun = "rm /a; echo b > /b"\n'
        '[image.i]\non = ["b"]\nsquash = {0}\n'
    )
    outs = []
    for flag in ("true", "false"):
        shop.buildfile(text.replace("{0}", flag))
        summary = shop.build("i", outputs=(OutputSpec("tar", str(tmp_path / f"{flag}.tar")),))
        outs.append(len(summary.metadata["targets"]["i"]["layers"]))
    assert outs == [2, 3]
    assert (tmp_path / "true.tar").read_bytes() == (tmp_path / "false.tar").read_bytes()


def test_two_different_results_are_never_joined(shop, tmp_path):
    """A step that differs from run to run, forced again, makes what stands on it run again as well."""
    shop.buildfile(
        '[step.random]\non = ["box"]\nrun = "head -c 8 /dev/urandom > /r"\n'
        '[step.above]\non = ["random"]\nrun = "sha256sum /r > /s"\n[image.i]\non = ["above"]\n'
    )
    shop.build("i")
    shop.build("i", rebuild=("random",))
    assert shop.ran() == {"random", "above"}


def test_unknown_targets_name_near_ones(shop):
    with pytest.raises(UsageError) as caught:
        shop.build("ap")
    assert "api" in caught.value.hint


def test_a_missing_source_is_an_error_with_its_line(shop):
    shop.buildfile(
        '[step.c]\ncopy = [{ from = "nowhere", to = "/x" }]\n[image.i]\non = ["box", "c"]\n'
    )
    with pytest.raises(BuildgraphError) as caught:
        shop.build("i")
    assert caught.value.code == "source-missing"
    assert caught.value.exit_code == 2
    assert "nowhere" in caught.value.render()


CONFLICT = (
    '[step.one]\non = ["box"]\nrun = "echo one > /opt/old"\n'
    '[step.two]\non = ["box"]\nrun = "echo two > /opt/old"\n'
    '[image.i]\non = ["box", "one", "two"]\n'
)


def test_siblings_that_change_one_file_are_warned_about(shop):
    shop.buildfile(CONFLICT)
    shop.build("i")
    assert shop.warnings() == ["merge-conflict"]
    shop.buildfile(CONFLICT + 'merge = "strict"\n')
    [failure] = shop.attempt("i").failures
    assert failure.code == "merge-conflict"
    assert "/opt/old" in failure.message


def test_tools_are_seen_and_not_part_of_the_result(shop, tmp_path):
    from buildgraph.build.request import OutputSpec

    shop.buildfile(
        '[step.tool]\non = ["box"]\nrun = "mkdir /tool; echo made > /tool/it"\n'
        '[step.use]\non = ["box"]\nwith = ["box", "tool"]\noutputs = ["/out"]\nrun = "cat /tool/it > /out"\n'
        '[image.i]\non = ["use"]\n'
    )
    shop.build("i", outputs=(OutputSpec("local", str(tmp_path / "o")),))
    assert (tmp_path / "o/out").read_text() == "made\n"
    assert not (tmp_path / "o/tool").exists()


def test_a_step_runs_as_its_user_in_its_workdir(shop):
    shop.buildfile(
        '[step.s]\non = ["box"]\nuser = "1000:1000"\nworkdir = "/work"\nrun = "id -u; pwd; touch made; stat -c %u made"\n'
    )
    shop.build("s")
    assert shop.output("s") == ["1000", "/work", "1000"]


def test_times_are_kept_where_the_step_says_so(shop, tmp_path):
    from buildgraph.build.request import OutputSpec

    shop.write("dated", "x\n")
    os.utime(shop.folder / "dated", (1_000_000_000, 1_000_000_000))
    shop.buildfile(
        '[step.kept]\ncopy = [{ from = "dated", to = "/kept" }]\nnormalize = { time = "keep" }\n'
        '[step.fixed]\ncopy = [{ from = "dated", to = "/fixed" }]\n'
        '[step.run]\non = ["box"]\nrun = "touch -d @978307200 /touched"\nnormalize = { time = "keep" }\n'
        '[image.i]\non = ["box", "kept", "fixed", "run"]\n'
    )
    shop.build("i", outputs=(OutputSpec("local", str(tmp_path / "o")),))
    times = {
        name: int((tmp_path / "o" / name).stat().st_mtime) for name in ("kept", "fixed", "touched")
    }
    assert times == {"kept": 1_000_000_000, "fixed": 315_532_800, "touched": 978_307_200}
    os.utime(shop.folder / "dated", (1_000_000_001, 1_000_000_001))
    shop.build("i")
    assert shop.ran() == {"kept"}
