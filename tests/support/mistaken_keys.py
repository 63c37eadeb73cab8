"""Right and wrong ways to write the keys of a Buildfile's tables, and what each mistake is called.

Every line is one way to write a key; after ``#!`` stand the codes of its mistakes. ``- KEY #! CODE`` says what leaving it
out costs, at the table's header: keys without such a line are optional. ``{n}`` is the number of the table, ``{i}`` that of
the item.
"""

KEYS = {
    "step": {  # of a run step
        "run": """
run = "true"
run = ["echo", "${v}"]
run = { file = "go.sh" }
run = 3 #! wrong-type
run = "" #! empty-command
run = ["true", 3] #! wrong-type
run = "echo ${nope}" #! undefined-variable
run = "echo ${X:-1}" #! bad-variable
run = { args = ["x"] } #! missing-key
run = { file = "/go.sh" } #! absolute-source
run = { file = "go.sh", arg = ["x"] } #! unknown-key
- run #! no-kind
""",
        "on": """
on = ["box"]
on = ["box", "deps", "files"]
on = "box" #! wrong-type
on = ["box", 3] #! wrong-type
on = ["box", "bxo"] #! unknown-name
on = ["all"] #! wrong-kind
on = ["image:deps"] #! wrong-kind
on = ["off"] #! switched-off
on = ["files"] #! no-root
on = ["files", "box"] #! root-not-first
on = ["box", "node"] #! two-roots
on = ["box", "t{n}"] #! cycle
on = ["${nope}"] #! undefined-variable
on = ["box", 3, "bxo"] #! wrong-type unknown-name
- on #! no-root
""",
        "network": """
network = "host"
network = "bridge" #! wrong-value
network = true #! wrong-type
""",
        "env": """
env = { A = "1", B = "${env.PATH}" }
env = { A = 1 } #! wrong-type
env = { "A=B" = "1" } #! bad-env-name
env = ["A=1"] #! wrong-type
env = { A = "${vv}" } #! undefined-variable
""",
        "workdir": """
workdir = "/srv"
workdir = "srv" #! relative-destination
workdir = "/../x" #! escaping-destination
""",
        "user": """
user = "1000:1000"
user = 1000 #! wrong-type
user = "" #! wrong-value
""",
        "shell": """
shell = ["/bin/bash", "-c"]
shell = [] #! wrong-value
shell = "/bin/sh" #! wrong-type
""",
        "outputs": """
outputs = ["/dist/**"]
outputs = ["dist/**"] #! relative-glob
outputs = [3, "dist/**"] #! wrong-type relative-glob
outputs = ["${nope}", "dist/**"] #! undefined-variable relative-glob
outputs = ["/[z"] #! bad-glob
""",
        "discard": """
discard = []
discard = "/x" #! wrong-type
discard = ["x"] #! relative-glob
""",
        "timeout": """
timeout = "10m"
timeout = 90
timeout = "10 minutes" #! bad-duration
timeout = "0s" #! bad-duration
timeout = true #! wrong-type
""",
        "retry": """
retry = { attempts = 3, on = ["network", 75] }
retry = { on = ["network"] } #! missing-key
retry = { attempts = 0 } #! wrong-value
retry = { attempts = 2, on = ["netwrok"] } #! wrong-value
retry = 3 #! wrong-type
""",
        "cpus": """
cpus = 2
cpus = 0 #! wrong-value
cpus = "2" #! wrong-type
""",
        "memory": """
memory = "2G"
memory = "lots" #! bad-size
""",
        "reuse": """
reuse = { max-age = "24h" }
reuse = "sometimes" #! wrong-value
reuse = { max-age = "1 day" } #! bad-duration
reuse = { } #! missing-key
""",
        "hosts": """
hosts = { db = "10.0.0.1" }
hosts = { db = "localhost" } #! wrong-value
""",
        "merge": """
merge = "strict"
merge = "loose" #! wrong-value
""",
        "platform": """
platform = "build"
platform = "linux/arm64" #! wrong-value
""",
        "platforms": """
platforms = ["linux/amd64"]
platforms = ["linux/amd46"] #! bad-platform
platforms = ["linux/amd46", "x/y/z/a"] #! bad-platform bad-platform
""",
        "normalize": """
normalize = { mode = "git" }
normalize = { mode = "gti" } #! wrong-value
normalize = { times = "keep" } #! unknown-key
""",
        "when": """
when = "vars.v == '1'"
when = "vars.v = '1'" #! bad-condition
when = "vars.w == '1'" #! undefined-variable
when = 3 #! wrong-type
""",
        "others": """
copy = [{ from = "src", to = "/x" }] #! two-kinds
nework = "host" #! unknown-key
entrypoint = ["x"] #! unknown-key
""",
        "mounts": "",
    },
    "copy": {  # the other kind of step
        "on": """
on = ["box"]
on = ["bxo"] #! unknown-name
""",
        "normalize": """
normalize = { time = "keep" }
normalize = "keep" #! wrong-type
""",
        "others": """
workdir = "/x" #! unknown-key
run-as = "x" #! unknown-key
from = "src" #! unknown-key
""",
        "copy": "",
    },
    "image": {
        "on": """
on = ["box", "deps"]
on = ["api", "files"]
on = ["files"] #! no-root
on = ["deps", "node"] #! two-roots
on = ["deps ", "x"] #! unknown-name unknown-name
on = ["box", "t{n}"] #! cycle
on = { box = 1 } #! wrong-type
- on #! no-root
""",
        "user": """
user = "app"
user = 1000 #! wrong-type
""",
        "workdir": """
workdir = "/srv"
workdir = "." #! relative-destination
""",
        "env": """
env = { PATH = "/x:${env.PATH}" }
env = { PORT = 8080 } #! wrong-type
""",
        "entrypoint": """
entrypoint = ["api"]
entrypoint = 3 #! wrong-type
entrypoint = ["api", 8080] #! wrong-type
""",
        "expose": """
expose = [8080, "53/udp"]
expose = [0] #! bad-port
expose = ["http", "x"] #! bad-port bad-port
expose = [true, "http"] #! wrong-type bad-port
expose = 8080 #! wrong-type
""",
        "volumes": """
volumes = ["/data"]
volumes = ["data"] #! relative-destination
""",
        "labels": """
labels = { a = "b" }
labels = { a = 1, b = "${nope}" } #! wrong-type undefined-variable
""",
        "stop-signal": """
stop-signal = "SIGTERM"
stop-signal = "term" #! wrong-value
""",
        "healthcheck": """
healthcheck = { test = "true", interval = "30s" }
healthcheck = { test = "true", interval = "often" } #! bad-duration
healthcheck = { test = [] } #! empty-command
healthcheck = { } #! missing-key
healthcheck = { test = "true", retry = 3 } #! unknown-key
""",
        "unset": """
unset = { env = ["A"], cmd = true }
unset = { cmd = false } #! wrong-value
unset = { comand = true } #! unknown-key
""",
        "repository": """
repository = "example.com/shop"
repository = "example.com/shop:1" #! bad-reference
repository = "UPPER/x" #! bad-reference
""",
        "tags": """
tags = ["example.com/shop/{n}:1", { tag = "example.com/shop/{n}:2", when = "vars.v == '1'" }]
tags = ["example.com/shop/{n}:${git.shrt}"] #! undefined-variable
tags = ["example.com/{n}:a b"] #! bad-reference
tags = [{ when = "vars.v == '1'" }] #! missing-key
tags = [{ tag = "example.com/{n}:3", when = "vars.v ==" }] #! bad-condition
tags = [3, "example.com/{n}:a b"] #! wrong-type bad-reference
""",
        "checks": """
checks = ["deps"]
checks = ["dpes"] #! unknown-name
checks = ["box"] #! wrong-kind
""",
        "level": """
level = 9
level = 99 #! wrong-value
level = "9" #! wrong-type
""",
        "squash": """
squash = true
squash = "yes" #! wrong-type
""",
        "platforms": """
platforms = ["linux/amd64"]
platforms = ["amd64"] #! bad-platform
""",
        "others": """
run = "true" #! unknown-key
entripoint = ["x"] #! unknown-key
""",
    },
    "base": {
        "image": """
image = "debian:bookworm-slim"
image = "debian@sha256:12" #! bad-reference
image = "Debian" #! bad-reference
image = 12 #! wrong-type
- image #! no-kind
""",
        "platform": """
platform = "build"
platform = "linux/amd46" #! bad-platform
""",
        "others": """
scratch = true #! two-kinds
tag = "x" #! unknown-key
""",
    },
    "secret": {
        "file": """
file = "~/.netrc"
file = "" #! wrong-value
file = 3 #! wrong-type
- file #! no-kind
""",
        "others": """
id = "x" #! unknown-key
""",
    },
    "group": {
        "targets": """
targets = ["api", "a*"]
targets = ["apy"] #! unknown-name
targets = ["zzz-*"] #! unknown-name
targets = ["box"] #! wrong-kind
targets = ["t{n}"] #! cycle
targets = "api" #! wrong-type
- targets #! missing-key
""",
        "others": """
zzz = 3 #! unknown-key
""",
    },
}
"""By the word of the table; a key of "others" is written as it is, or not."""

ITEMS = {
    "mounts": """
{ bind = "src", target = "/in/{i}" }
{ cache = "c{i}", target = "/in/{i}", mode = "0700" }
{ secret = "token", target = "/in/{i}" }
{ tmpfs = true, target = "/in/{i}", size = "1M" }
{ bind = "/etc/passwd", target = "/in/{i}" } #! absolute-source
{ bind = "../x", target = "/in/{i}" } #! escaping-source
{ bind = "step:dep", target = "/in/{i}" } #! unknown-name
{ bind = "src", include = ["/a"], target = "/in/{i}" } #! absolute-source
{ bind = "src", include = [3, "/a"], target = "/in/{i}" } #! wrong-type absolute-source
{ bind = "src" } #! missing-key
{ bind = "src", target = "in" } #! relative-destination
{ bind = "src", target = "/proc" } #! bad-mount-target
{ bind = "src", cache = "c", target = "/in/{i}" } #! bad-mount
{ target = "/in/{i}" } #! bad-mount
{ bind = "src", target = "/in/{i}", sharing = "locked" } #! unknown-key
{ bind = "src", target = "/in/{i}", readonly = true } #! unknown-key
{ cache = "../c", target = "/in/{i}" } #! bad-cache-id
{ cache = "c", target = "/in/{i}", sharing = "mine" } #! wrong-value
{ cache = "c", target = "/in/{i}", owner = "app" } #! owner-names
{ cache = "c", target = "/in/{i}", mode = 700 } #! bad-mode
{ tmpfs = "yes", target = "/in/{i}" } #! wrong-type
{ tmpfs = true, target = "/in/{i}", size = "much" } #! bad-size
{ secret = "tokn", target = "/in/{i}" } #! unknown-secret
{ secret = "token", env = "T{i}", target = "/in/{i}" } #! bad-mount
{ bind = "${nope}", target = "/in/{i}" } #! undefined-variable
{ bind = "${nope}", target = "in" } #! undefined-variable relative-destination
"src:/in/{i}" #! wrong-type
""",
    "copy": """
{ from = "src", to = "/a/{i}/" }
{ from = "step:deps", path = "/x", to = "/a/{i}", owner = "1:1", mode = 0o755 }
{ from = "/etc/passwd", to = "/a/{i}" } #! absolute-source
{ from = "../../x", to = "/a/{i}" } #! escaping-source
{ from = "stpe:deps", to = "a" } #! relative-destination
{ from = "step:dep", to = "/a/{i}" } #! unknown-name
{ from = "group:all", to = "/a/{i}" } #! wrong-kind
{ from = "src" } #! missing-key
{ from = "src", to = 3 } #! wrong-type
{ from = "src", to = "a", mode = 644 } #! relative-destination bad-mode
{ from = "src", to = "/a/{i}", mode = "rwx" } #! bad-mode
{ from = "src", to = "/a/{i}", owner = "a:b:c" } #! bad-owner
{ from = "src", to = "/a/{i}", exclude = ["../x", "ok"] } #! escaping-source
{ from = "src", to = "/a/{i}", exclude = "x" } #! wrong-type
{ from = "src", path = "/x", to = "/a/{i}" } #! path-in-context
{ from = "step:deps", path = "x", to = "a" } #! relative-destination relative-destination
{ src = "src", to = "/a/{i}" } #! unknown-key
{ from = "src", dest = "/a/{i}" } #! unknown-key
{ from = "src", into-dir = "/a/{i}" } #! unknown-key missing-key
{ from = "${nope}", to = "a" } #! undefined-variable relative-destination
"src" #! wrong-type
""",
}

TAILS = {
    "step": (
        '[step.t{n}.env]\nLANG = 1 #! wrong-type\nrun = "x" #! misplaced-key\n',
        '[step.t{n}.env]\nLANG = "C"\nnetwork = "host" #! misplaced-key\n',
    ),
    "image": (
        '[image.t{n}.labels]\nvendor = "shop"\nexpose = [80] #! misplaced-key\n',
        '[image.t{n}.healthcheck]\ntest = "true"\nuser = "x" #! misplaced-key\n',
    ),
}
"""Sub-tables with a header of their own; the key of that name is then nowhere else."""
