"""A right Buildfile: every key arrives in the model."""

from pathlib import Path

import pytest
from support.buildfile import codes, model, read

from buildgraph.errors import ErrorGroup
from buildgraph.names import Platform
from buildgraph.spec import model as m
from buildgraph.spec.load import load


def test_a_run_step_with_every_key():
    step = model(
        """
        [secret.netrc]
        file = "~/.netrc"
        [step.tools]
        on = ["box"]
        run = ["make", "${env.TARGET}"]
        [step.deps]
        description = "dependencies"
        on = ["box", "tools"]
        with = ["tools"]
        env = { PATH = "/venv/bin:${env.PATH}" }
        workdir = "/srv//app/"
        user = "1000:1000"
        shell = ["/bin/bash", "-c"]
        network = "host"
        mounts = [
          { bind = "reqs", include = ["*.txt"], exclude = ["dev*"], target = "/in", write = true },
          { bind = "tools", path = "/out/", target = "/t" },
          { cache = "pip", target = "/root/.cache", sharing = "locked", mode = 0o700, owner = "1:2" },
          { tmpfs = true, target = "/tmp/x", size = "64M" },
          { secret = "netrc", target = "/root/.netrc", required = true, mode = "0400" },
          { secret = "netrc", env = "NETRC" },
          { secret = "netrc" },
          { ssh = "default", mode = "0660" },
          { ssh = "deploy", target = "/ssh", required = true },
        ]
        run = "pip install"
        outputs = ["/venv/**"]
        discard = []
        timeout = "1m30s"
        retry = { attempts = 3, on = ["network", 75] }
        cpus = 2
        memory = "1G"
        pool = "net"
        reuse = { max-age = "24h" }
        hosts = { db = "10.0.0.1" }
        platforms = ["linux/amd64", "linux/arm64"]
        platform = "build"
        normalize = { time = "keep" }
        merge = "strict"
        """,
        paths=["reqs"],
    ).steps["deps"]
    run = step.kind
    assert isinstance(run, m.Run)
    assert step.on == (m.Ref("base", "box"), m.Ref("step", "tools"))
    assert (step.description, step.merge_strict, step.platform_build) == (
        "dependencies",
        True,
        True,
    )
    assert step.platforms == (Platform("linux", "amd64"), Platform("linux", "arm64"))
    assert step.normalize == m.Normalize(None, "keep")
    assert run.command == m.Text(("pip install",))
    assert run.env == {"PATH": m.Text(("/venv/bin:", m.EnvName("PATH")))}
    assert run.workdir == m.Text(("/srv/app",))
    assert run.user == m.Text(("1000:1000",))
    assert run.tools == (m.Ref("step", "tools"),)
    assert (run.shell, run.network, run.pool) == (("/bin/bash", "-c"), "host", "net")
    assert (run.timeout, run.cpus, run.memory) == (90, 2.0, 2**30)
    assert (run.retry, run.reuse) == (m.Retry(3, ("network", 75)), m.Reuse(max_age=86400))
    assert (run.outputs, run.discard, run.hosts) == (("/venv/**",), (), {"db": "10.0.0.1"})
    assert run.mounts == (
        m.BindMount(m.Selection("reqs", None, ("*.txt",), ("dev*",)), m.Text(("/in",)), write=True),
        m.BindMount(m.Selection("/out", m.Ref("step", "tools")), m.Text(("/t",))),
        m.CacheMount("pip", m.Text(("/root/.cache",)), "locked", m.Owner(1, 2), m.Mode(0o700)),
        m.TmpfsMount(m.Text(("/tmp/x",)), 64 * 2**20),
        m.SecretMount("netrc", m.Text(("/root/.netrc",)), required=True, mode=m.Mode(0o400)),
        m.SecretMount("netrc", env="NETRC"),
        m.SecretMount("netrc", m.Text(("/run/secrets/netrc",))),
        m.SshMount(
            "default", m.Text(("/run/buildgraph/ssh-default.sock",)), mode=m.Mode(octal=0o660)
        ),
        m.SshMount("deploy", m.Text(("/ssh",)), required=True),
    )


def test_what_a_run_step_leaves_out():
    step = model('[step.x]\non = ["box"]\nrun = { file = "./build.sh", args = ["a"] }').steps["x"]
    assert step.kind == m.Run(m.Script("build.sh", (m.Text(("a",)),)))
    assert step.where.line == 6
    assert step.fields["run"].line == 8
    assert step.kind.discard == m.DEFAULT_DISCARD


def test_copy_write_and_packages():
    steps = model(
        """
        [step.src]
        on = ["box"]
        copy = [
          { to = "/app/" },
          { from = "./a//b/../c", to = "/x//y", mode = "u=rwX,go=rX", owner = "root:1000", follow = true },
          { from = "base:box", path = "/etc", to = "/etc/box/", owner = "www-data" },
          { from = "box", to = "/box/" },
        ]
        [step.files]
        write = { "/etc/a" = "text $$HOME $x", "/etc/b" = { text = "b", mode = "0600", owner = "5" } }
        dirs = { "/data/" = { owner = "1000", mode = 0o1777 } }
        links = { "/l" = "../x" }
        [step.root]
        packages = { packages = ["curl", "libc6:amd64", "curl"], suite = "bookworm" }
        """,
        paths=["src"],
    ).steps
    assert steps["src"].kind == m.Copy(
        tuple(
            m.CopyItem(*fields, where=item.where, **more)
            for item, (fields, more) in zip(
                steps["src"].kind.items,
                [
                    ((m.Selection("."), "/app/"), {}),
                    (
                        (m.Selection("a/c"), "/x/y"),
                        {
                            "owner": m.Owner(0, 1000),
                            "mode": m.Mode(symbolic="u=rwX,go=rX"),
                            "follow": True,
                        },
                    ),
                    (
                        (m.Selection("/etc", m.Ref("base", "box")), "/etc/box/"),
                        {"owner": m.Owner("www-data", "")},
                    ),
                    ((m.Selection("/", m.Ref("base", "box")), "/box/"), {}),
                ],
                strict=True,
            )
        )
    )
    assert steps["src"].kind.items[1].where.line == 11
    assert steps["files"].kind == m.Write(
        (
            m.WriteItem("file", "/etc/a", "text $HOME $x"),
            m.WriteItem("file", "/etc/b", "b", m.Mode(0o600), m.Owner(5, 5)),
            m.WriteItem("dir", "/data", "", m.Mode(0o1777), m.Owner(1000, 1000)),
            m.WriteItem("link", "/l", "../x"),
        )
    )
    assert steps["root"].kind == m.Packages(("curl", "libc6:amd64"), "bookworm")


def test_a_path_that_exists_wins_over_a_name_and_is_remembered():
    text = '[step.x]\ncopy = [{ from = "box", to = "/x" }]'
    there, absent = read(text, paths=["box"]), read(text)
    assert there.model.steps["x"].kind.items[0].source == m.Selection("box")
    assert absent.model.steps["x"].kind.items[0].source.ref == m.Ref("base", "box")
    assert (there.asked, absent.asked) == ({"box": True}, {"box": False})


def test_an_image_with_every_key():
    loaded = read(
        """
        [step.check]
        on = ["api"]
        run = "true"
        [image.api]
        description = "the api"
        on = ["box"]
        user = "${env.USER}"
        workdir = "/app"
        env = { A = "1" }
        entrypoint = ["tini", "--"]
        cmd = "serve --port ${env.PORT}"
        expose = [8080, "53/udp", "9000-9002"]
        volumes = ["/data"]
        labels = { "org.x" = "y" }
        stop-signal = "SIGINT"
        shell = ["/bin/sh", "-c"]
        onbuild = ["RUN x"]
        healthcheck = { test = "curl localhost", interval = "30s", timeout = 5, start-period = "1m", start-interval = "500ms", retries = 3 }
        unset = { env = ["X*"], labels = ["vendor.*"], volumes = ["*"], expose = ["*"], entrypoint = true, onbuild = true }
        annotations = { "org.z" = "w" }
        repository = "registry.example.com:5000/shop/${target.name}"
        tags = [":1", { tag = ":latest", when = "git.branch == 'main'" }, { tag = "x", when = "git.branch == 'y'" }, "other/x", ":c-${key}"]
        platforms = ["linux/amd64"]
        checks = ["check"]
        squash = true
        compression = "zstd"
        level = 19
        merge = "strict"
        """
    )
    image = loaded.model.images["api"]
    config = image.config
    assert config.user == m.Text((m.EnvName("USER"),))
    assert config.entrypoint == (m.Text(("tini",)), m.Text(("--",)))
    assert config.cmd == m.Text(("serve --port ", m.EnvName("PORT")))
    assert config.expose == ("8080/tcp", "53/udp", "9000/tcp", "9001/tcp", "9002/tcp")
    assert (config.volumes, config.stop_signal) == (("/data",), "SIGINT")
    assert (config.shell, config.onbuild) == (("/bin/sh", "-c"), ("RUN x",))
    assert config.healthcheck == m.Healthcheck(
        (m.Text(("CMD-SHELL",)), m.Text(("curl localhost",))),
        30 * 10**9,
        5 * 10**9,
        60 * 10**9,
        5 * 10**8,
        3,
    )
    flags = frozenset({"entrypoint", "onbuild"})
    assert config.unset == m.Unset(("X*",), ("vendor.*",), ("*",), ("*",), flags)
    repository = "registry.example.com:5000/shop/api"
    assert image.tags == (
        f"{repository}:1",
        f"{repository}:latest",
        "other/x:latest",
        f"{repository}:c-${{key}}",
    )
    assert image.checks == (m.Ref("step", "check"),)
    assert (image.squash, image.compression, image.level) == (True, "zstd", 19)
    assert (image.description, image.merge_strict) == ("the api", True)
    assert image.annotations == {"org.z": "w"}
    assert loaded.used_git == {"branch"}


@pytest.mark.parametrize(
    ("test", "parts"),
    [
        ('"NONE"', ("NONE",)),
        ('["NONE"]', ("NONE",)),
        ('["CMD", "a", "b"]', ("CMD", "a", "b")),
        ('["CMD-SHELL", "a b"]', ("CMD-SHELL", "a b")),
        ('["a", "b"]', ("CMD", "a", "b")),
        ('"a b"', ("CMD-SHELL", "a b")),
    ],
)
def test_healthcheck_in_dockers_forms(test, parts):
    image = model(f'[image.x]\non = ["box"]\nhealthcheck = {{ test = {test} }}').images["x"]
    assert tuple(text.fill({}) for text in image.config.healthcheck.test) == parts


def test_bases_groups_secrets_and_the_workspace():
    found = model(
        """
        buildfile = 1
        [workspace]
        name = "bar"
        default = ["all", "web-*"]
        platforms = ["linux/arm64"]
        ignore = ["**/__pycache__"]
        epoch = 2024-05-01T12:00:00Z
        ca = "host"
        [base.a]
        layout = "/abs/dir:v1"
        [base.b]
        archive = "b.tar"
        platform = "build"
        [base.c]
        rootfs = "c.tar.zst"
        platform = "linux/arm64"
        [base.d]
        scratch = true
        [base.e]
        layout = "x:y/dir"
        [image.web-a]
        on = ["a"]
        [image.web-b]
        on = ["d"]
        [step.web-src]
        copy = [{ to = "/x/" }]
        [step.lone-a]
        copy = [{ to = "/x/" }]
        [group.all]
        description = "all"
        targets = ["web-*", "lone-*", "step:web-src", "//:web-a"]
        [secret.s]
        env = "TOKEN"
        """,
        head="",
        secrets=["cli"],
    )
    where = {name: base.where for name, base in found.bases.items()}
    arm, amd = Platform("linux", "arm64"), Platform("linux", "amd64")
    assert found.bases == {
        "a": m.Base("a", "layout", where["a"], "/abs/dir", "v1"),
        "b": m.Base("b", "archive", where["b"], "b.tar", "", amd),
        "c": m.Base("c", "rootfs", where["c"], "c.tar.zst", "", arm),
        "d": m.Base("d", "scratch", where["d"]),
        "e": m.Base("e", "layout", where["e"], "x:y/dir"),
    }
    web = (m.Ref("image", "web-a"), m.Ref("image", "web-b"))
    lone = m.Ref("step", "lone-a")
    assert found.groups["all"].targets == (*web, lone, m.Ref("step", "web-src"))
    assert found.workspace == m.Workspace(
        name="bar",
        default=(m.Ref("group", "all"), *web),
        platform=arm,
        platforms=(arm,),
        ignore=("**/__pycache__",),
        epoch=1714564800,
        ca="host",
    )
    assert found.secrets == {"s": m.Secret("s", env="TOKEN"), "cli": m.Secret("cli")}


def test_what_the_workspace_leaves_out():
    text = 'buildfile = 1\n[base.a]\nscratch = true\n[image.x]\non = ["a"]\n'
    workspace = model(text, head="").workspace
    assert workspace.name == "shop", "the folder's name"
    assert workspace.default == (m.Ref("image", "x"),)
    assert (workspace.epoch, workspace.platform) == (None, Platform("linux", "amd64"))


@pytest.mark.parametrize(
    ("epoch", "seconds"),
    [("5", 5), ('"2024-05-01T14:00:00+02:00"', 1714564800), ('"git"', 1700000000)],
)
def test_epoch(epoch, seconds):
    text = f'buildfile = 1\n[workspace]\nepoch = {epoch}\n[vars]\ne = "${{epoch}}"\n[base.a]\nscratch = true\n'
    text += '[image.x]\non = ["a"]\nlabels = { e = "${e}" }\n'
    found = model(text, head="")
    assert found.workspace.epoch == seconds
    assert found.images["x"].config.labels["e"] == m.Text((str(seconds),))


def test_the_command_lines_platform_wins():
    text = 'buildfile = 1\n[workspace]\nplatforms = ["linux/arm64"]\n'
    text += '[vars]\np = "${platform.uname} ${build.platform}"\n[base.a]\nscratch = true\n'
    text += '[image.x]\non = ["a"]\nlabels = { p = "${p}" }\n'
    found = model(text, head="", platform=Platform("linux", "riscv64"))
    assert found.workspace.platform == Platform("linux", "riscv64")
    assert found.images["x"].config.labels["p"] == m.Text(("riscv64 linux/amd64",))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ErrorGroup) as raised:
        load(tmp_path / "Buildfile.toml")
    assert raised.value.errors[0].code == "no-buildfile"


def test_a_file_is_read_from_its_folder(tmp_path):
    file = tmp_path / "Buildfile.toml"
    file.write_text('buildfile = 1\n[step.src]\ncopy = [{ from = "src", to = "/x" }]\n')
    loaded = load(file, environ={})
    assert loaded.files_read == (str(file),)
    assert loaded.model.steps["src"].where.file == "Buildfile.toml"
    assert isinstance(load(Path(file), shown="a/b").model.steps["src"].where.file, str)


def test_a_thousand_mistakes_are_enough():
    text = "\n".join(f'[step.s{n}]\non = ["nope"]\nrun = "true"' for n in range(1100))
    found = codes(text)
    assert len(found) == 1001
    assert found[-1] == "too-many-mistakes"
