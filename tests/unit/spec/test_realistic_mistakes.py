"""What people write who know other tools, are in a hurry, or read half of the page: what are they told, and where?

Cases are Buildfiles below a line ``## NAME``. A line that ends in ``#! CODE`` has that mistake; ``#! CODE | WORDS`` says
which words of the advice help here.
"""

import re

import pytest
from support.buildfile import read

from buildgraph.errors import ErrorGroup
from buildgraph.fs.pattern import parse_all

MARK = re.compile(r" #! ([a-z-]+)(?: \| ((?:(?! #! ).)*))?$")
BASE = "buildfile = 1\n[base.debian]\nlayout = 'debian'\n"

CASES = """\
## a version as text
buildfile = "1" #! bad-version | write buildfile = 1
## a typo in a kind of table
[stpe.deps] #! unknown-key | "step"
on = ["debian"]
run = "true"
[image.api]
on = ["debian", "deps"]
## tables in the plural
[images.api] #! unknown-key | "image"
on = ["debian"]
## a Dockerfile's words in a step
[step.deps]
from = "debian" #! unknown-key | "on"
cmd = "make" #! unknown-key | "run"
## a compose file's words in an image
[image.api]
on = ["debian"]
environment = { A = "1" } #! unknown-key | "env"
ports = [8080] #! unknown-key | "expose"
command = ["api"] #! unknown-key | "cmd"
## depends_on
[step.a]
on = ["debian"]
run = "true"
[step.b]
depends_on = ["a"] #! unknown-key | "on"
run = "true"
## keys with underscores
[image.api]
on = ["debian"]
stop_signal = "SIGTERM" #! unknown-key | "stop-signal"
healthcheck = { test = "true", start_period = "3s" } #! unknown-key | "start-period"
## a string where an array stands
[image.api]
on = "debian" #! wrong-type | write on = ["debian"]
## the image's name instead of the base's
[image.api]
on = ["debian:bookworm"] #! unknown-name | prefixes are
## a base is misspelt
[step.deps]
on = ["debain"] #! unknown-name | "debian"
run = "true"
## a step is misspelt in three places
[step.web-dist]
on = ["debian"]
run = "true"
[step.b]
on = ["debian", "web_dist"] #! unknown-name | "web-dist"
run = "true"
[step.c]
copy = [{ from = "step:webdist", path = "/x", to = "/x" }] #! unknown-name | "web-dist"
[group.all]
targets = ["web-dis"] #! unknown-name | "web-dist"
## shell variables with braces
[step.deps]
on = ["debian"]
run = '''
for f in *; do
  echo "${f}" #! undefined-variable | $${f}
  echo "${HOME:-/root}" #! bad-variable | for the shell write $${HOME:-/root}
done
'''
## a variable is misspelt
[vars]
version = "1"
[image.api]
on = ["debian"]
labels = { version = "${verson}" } #! undefined-variable | "version"
## a number in env
[image.api]
on = ["debian"]
env = { PORT = 8080, DEBUG = true } #! wrong-type | "8080" #! wrong-type | "true"
## a number as user
[image.api]
on = ["debian"]
user = 1000 #! wrong-type | "1000"
## a mode as people write it for chmod
[step.files]
copy = [{ from = "bin", to = "/usr/local/bin/", mode = 755 }] #! bad-mode | "0755"
## an owner by name
[step.files]
copy = [{ from = "bin", to = "/srv/", owner = "www-data:www-data" }] #! owner-names | write numbers
## a folder beside the workspace
[step.files]
copy = [{ from = "../shared", to = "/srv/" }] #! escaping-source | in the folder of the Buildfile
## a file of the machine
[step.files]
copy = [{ from = "/etc/ssl/certs", to = "/etc/ssl/certs" }] #! absolute-source | copy the file there
## a destination without a slash
[step.files]
copy = [{ from = "src", to = "app/" }] #! relative-destination | "/app/"
## copy as in a Dockerfile
[step.files]
copy = ["src", "/app"] #! wrong-type #! wrong-type
## src and dest
[step.files]
copy = [
  { src = "src", #! unknown-key | "from"
    dest = "/app" }, #! unknown-key | "to"
]
## keys below a sub-table
[step.deps]
on = ["debian"]
[step.deps.env]
A = "1"
run = "make" #! misplaced-key | move it above that line
network = "host" #! misplaced-key | move it above that line
## default below the defaults
[workspace]
[workspace.defaults.image]
repository = "example.com/${target.name}"
default = ["api"] #! misplaced-key | [workspace]
## a mistake in what forty images inherit is told once, where it stands
[workspace.defaults.image]
env = { PORT = 80 } #! wrong-type | "80"
[image.a]
on = ["debian"]
[image.b]
on = ["debian"]
## a mistake in an inherited mount
[workspace.defaults.step]
mounts = [
  { cache = "apt", target = "/var/cache/apt" },
  { cache = "pip", target = "root/.cache/pip" }, #! relative-destination | "/root/.cache/pip"
]
[step.a]
on = ["debian"]
mounts = [
  { bind = "src", target = "/src" },
  { bind = "/etc", target = "/x" }, #! absolute-source
]
run = "true"
[step.b]
on = ["debian"]
run = "true"
## run in the defaults
[workspace.defaults.step]
run = "true" #! unknown-key | in its own table
## mounts as docker writes them
[step.deps]
on = ["debian"]
mounts = ["type=cache,target=/root/.cache"] #! wrong-type
run = "true"
## a mount without a kind
[step.deps]
on = ["debian"]
mounts = [{ source = "src", target = "/src" }] #! unknown-key | "bind"
run = "true"
## a mount with docker's words
[step.deps]
on = ["debian"]
mounts = [{ type = "cache", target = "/src" }] #! unknown-key | cache = "ID"
run = "true"
## mistakes in what nobody inherits
[workspace.defaults.step]
timeout = "5 parsecs" #! bad-duration
env = { DEBUG = "${debg}" } #! undefined-variable
mounts = [
  { cache = "pip", target = "root/.cache/pip" }, #! relative-destination | "/root/.cache/pip"
]
[workspace.defaults.image]
level = 99 #! wrong-value | 0 to 9
tags = ["${name}:1"] #! undefined-variable
[step.src]
copy = [{ to = "/src/" }]
[image.api]
on = ["debian"]
level = 3
tags = ["api:1"]
## a secret that nobody defined
[secret.npm-token]
env = "NPM_TOKEN"
[step.deps]
on = ["debian"]
mounts = [{ secret = "npm_token", env = "TOKEN" }] #! unknown-secret | "npm-token"
run = "true"
## two kinds in one step
[step.deps]
on = ["debian"]
copy = [{ from = "package.json", to = "/app/" }]
run = "npm ci" #! two-kinds | two steps
## an image that stands on two roots
[base.node]
layout = "node"
[step.web]
on = ["node"]
run = "npm run build"
[image.api]
on = ["debian", "web"] #! two-roots | copy = [{ from = "step:web"
## files before the base
[step.files]
copy = [{ from = "src", to = "/app/" }]
[image.api]
on = ["files", "debian"] #! root-not-first | on = ["debian", "files"]
## an image of files alone
[step.files]
copy = [{ from = "src", to = "/app/" }]
[image.api]
on = ["files"] #! no-root | scratch = true
## run without on
[step.deps] #! no-root | on = ["NAME"]
run = "make"
## a step on itself, by way of another
[step.a]
on = ["debian", "b"] #! cycle | leave one of these names out
run = "true"
[step.b]
on = ["debian"]
mounts = [{ bind = "step:a", target = "/a" }]
run = "true"
## durations and sizes in words
[step.deps]
on = ["debian"]
timeout = "5 minutes" #! bad-duration | "10m"
memory = "2 gigabytes" #! bad-size | "2G"
run = "true"
## a platform by its machine's name
[workspace]
platforms = ["linux/amd64", "x86_64"] #! bad-platform | linux/amd64
## a shortened digest
[base.pinned]
image = "debian@sha256:4fcd7ae" #! bad-reference
## a base from a registry and a folder
[base.two]
image = "debian"
layout = "debian" #! two-kinds | exactly one
## an unquoted word in a condition
[vars]
branch = "main"
[image.api]
on = ["debian"]
when = "vars.branch == main" #! undefined-variable | 'main'
## what is switched off is used
[step.debug]
when = "platform.os == 'windows'"
on = ["debian"]
run = "true"
[image.api]
on = ["debian", "debug"] #! switched-off | the same condition
## what this version does not know yet
[workspace]
members = ["services/*"] #! unsupported | buildgraph -C
[fragment.python] #! unsupported | workspace.defaults
network = "host"
[step.many]
matrix = { python = ["3.11"] } #! unsupported | write a table for each
override = [{ match = { python = "3.11" }, run = "x" }] #! unsupported
on = ["debian"]
run = "true"
[step.tool]
extends = ["python"] #! unsupported
on = ["debian"]
run = "true"
[step.source]
git = { url = "https://example.com/x.git", ref = "v1", to = "/x" } #! unsupported | in a run step
"""


def cases():
    for case in CASES.split("## ")[1:]:
        name, _, text = case.partition("\n")
        yield pytest.param(text if text.startswith("buildfile") else BASE + text, id=name)


def marks(line: str):
    """The mistakes of a line, last one first, and the line without them."""
    while found := MARK.search(line):
        line = line[: found.start()]
        yield found[1], found[2] or ""


@pytest.mark.parametrize("text", [*cases()])
def test_people_are_told_what_to_write_and_where(text):
    lines = text.split("\n")
    expected = [
        (number, code, advice)
        for number, line in enumerate(lines, 1)
        for code, advice in reversed([*marks(line)])
    ]
    plain = "\n".join(line.partition(" #! ")[0] for line in lines)
    with pytest.raises(ErrorGroup) as caught:
        read(plain, head="", glob=lambda pattern: parse_all((pattern,)), paths={"src", "bin"})
    errors = caught.value.errors
    assert [(error.where.line, error.code) for error in errors] == [
        (number, code) for number, code, _ in expected
    ]
    for error, (_, _, advice) in zip(errors, expected, strict=True):
        assert advice in error.hint


def test_there_are_forty():
    assert CASES.count("## ") >= 40
