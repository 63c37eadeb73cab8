"""What are the steps of a converted Dockerfile called? By what they do, behind the name of their stage."""

import re
from posixpath import basename

from buildgraph.dockerfile.rewrite.shell import commands
from buildgraph.spec import model as m

_SLUG = re.compile(r"[^a-z0-9_]+")
_LONGEST = 40
_SMALL = "set cd echo export mkdir true test [ if for while then do { ( : ."
_BORING = frozenset(_SMALL.split())
_MANAGERS = """
apt apt-get apk dnf yum microdnf zypper pip pip3 npm yarn pnpm go cargo make git uv poetry bundle gem composer mvn
gradle ./mvnw ./gradlew dotnet rustup conda mamba
"""
_WITH_VERB = frozenset(_MANAGERS.split())
_VERB = re.compile(r"[a-z][a-z0-9:-]*")
_INTERPRETER = re.compile(r"python[0-9.]*")


def slug(text: str) -> str:
    """Letters that can stand in a name; empty if there are none."""
    return _SLUG.sub("-", text.lower())[:_LONGEST].strip("-_")


class Names:
    """Each is given once; the second of the same words has a number behind it."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, *parts: str) -> str:
        wanted = "-".join(filter(None, map(slug, parts))) or "step"
        name, count = wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}-{count}"
        self._taken.add(name)
        return name

    def __contains__(self, name: str) -> bool:
        return name in self._taken


def purpose(kind: object) -> str:
    match kind:
        case m.Run(command=command) if isinstance(command, tuple):
            return _command(["".join(map(str, text.parts)) for text in command])
        case m.Workdir(path=path):
            return f"workdir-{basename(path)}"
        case m.DockerCopy():
            return _copied(kind)
        case _:
            return ""


def _command(argv: list[str]) -> str:
    shell = len(argv) > 2 and argv[-2].startswith("-") and argv[-2].endswith("c")
    found = commands(argv[-1]) if shell else [argv]
    told = [name for words in found if (name := _told(words))]
    interesting = [name for name in told if name.split(" ")[0] not in _BORING]
    interesting = [n for n in interesting if not n.endswith(" update")] or interesting
    return (interesting or told or ["run"])[0]


def _told(words: list[str]) -> str:
    words = [word for word in words if "=" not in word.partition("/")[0]] or words
    if words[0] in ("sudo", "exec") and len(words) > 1:
        words = words[1:]
    program = basename(words[0]) if words[0] not in ("./mvnw", "./gradlew") else words[0]
    if _INTERPRETER.fullmatch(program) and words[1:2] == ["-m"] and len(words) > 2:
        program, words = words[2], words[2:]
    if program not in _WITH_VERB:
        return program
    verb = next((word for word in words[1:] if _VERB.fullmatch(word)), "")
    return f"{program} {verb}".strip()


def _copied(copy: m.DockerCopy) -> str:
    first = copy.sources[0]
    match first:
        case m.InlineFile(name=name):
            return "write " + (basename(copy.to) or name)
        case m.DockerSource(ref=ref, pattern=pattern) if ref is not None:
            stage = ref.name.rpartition("/")[2] if ref.kind != "step" else ref.name.split("/")[-2]
            return f"copy from {stage.partition(':')[0]} {basename(pattern.rstrip('/'))}"
        case m.DockerSource(pattern=pattern):
            return "copy " + (basename(pattern.rstrip("/.")).partition(".")[0] or "all")
        case _:
            return "add"
