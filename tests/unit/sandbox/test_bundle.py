from pathlib import Path

from buildgraph.sandbox import bundle, profile
from buildgraph.sandbox.command import Command
from buildgraph.spec.docker import Limits

ROOT = Path("/")  # only asked for root's home


def made(command: Command, cgroup: str = "/group") -> dict:
    return bundle.config(command, Path("/staged"), cgroup)


def test_process() -> None:
    command = Command(ROOT, ("a", "b"), {"X": "1"}, "/w", 5, 6, (7,))
    process = made(command)["process"]
    assert process["args"] == ["a", "b"]
    assert process["cwd"] == "/w"
    assert process["user"] == {"uid": 5, "gid": 6, "additionalGids": [7], "umask": 0o022}
    assert "X=1" in process["env"]
    assert process["noNewPrivileges"] is True
    assert set(process["capabilities"]) == {"bounding", "effective", "permitted"}


def test_the_root() -> None:
    assert made(Command(ROOT, ("a",)))["root"] == {"path": "/staged", "readonly": False}
    mounts = {m["destination"]: m for m in made(Command(ROOT, ("a",)))["mounts"]}
    assert list(mounts) == ["/proc", "/dev", "/dev/pts", "/dev/shm", "/sys"]


def test_the_profile() -> None:
    linux = made(Command(ROOT, ("a",)))["linux"]
    assert set(profile.MASKED) <= set(linux["maskedPaths"])
    assert linux["readonlyPaths"] == list(profile.READ_ONLY)
    assert linux["cgroupsPath"] == "/group"
    assert "cgroupsPath" not in made(Command(ROOT, ("a",)), "")["linux"]


def test_network_and_limits() -> None:
    def kinds(network: str) -> set[str]:
        command = Command(ROOT, ("a",), network=network)  # type: ignore[arg-type]
        return {space["type"] for space in made(command)["linux"]["namespaces"]}

    assert "network" in kinds("none")
    assert "network" not in kinds("host")
    assert "network" not in kinds("private")  # entered before the runtime starts
    limited = made(Command(ROOT, ("a",), cpus=1.5, memory=1 << 20))["linux"]["resources"]
    assert limited["cpu"] == {"period": 100_000, "quota": 150_000}
    assert limited["memory"] == {"limit": 1 << 20}


def test_limits_of_docker():
    limits = Limits(1 << 20, -1, 100000, 50000, 512, "0-1", "0", "/above")
    resources = made(Command(ROOT, ("a",), limits=limits))["linux"]["resources"]
    assert resources["cpu"] == {
        "shares": 512,
        "period": 100000,
        "quota": 50000,
        "cpus": "0-1",
        "mems": "0",
    }
    assert resources["memory"] == {"limit": 1 << 20, "swap": -1}
