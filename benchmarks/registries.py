"""A registry on this machine (Debian's docker-registry), one blob to move, and curl to move it, too."""

import contextlib
import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import measure

HERE = Path(__file__).resolve().parent
SIZE = 134_000_000
_TRIES = 3
PULLED = 'curl -sf "$0" | sha256sum -c --status "$1"'
_CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/storage}}}}
http: {{addr: "{host}"}}
"""


@dataclass
class Blobs:
    """``pushed`` counts repositories: each push goes to a new one."""

    host: str
    file: Path
    digest: str
    size: int
    pushed: int = 0

    def ours(self, verb: str) -> tuple[measure.Ran, float]:
        """The whole process, and the CPU seconds of the moving alone."""
        argv = self.argv(verb)
        with (self.file.parent / "cpu").open("w+") as out:
            ran = measure.timed(argv, HERE, environment(), stdout=out)
            out.seek(0)
            return ran, float(out.read())

    def push(self, command: str) -> measure.Ran:
        """The whole of `buildgraph push`, from a store that has seen no registry: what it had would be mounted."""
        store = self._store(command)
        self.pushed += 1
        home = store.with_name(f"home{self.pushed}")
        subprocess.run(["cp", "-a", str(store), str(home)], check=True)
        argv = [command, "--home", str(home), "push", "blob", f"{self.host}/bench/r{self.pushed}:1"]
        return measure.timed(argv, HERE)

    def _store(self, command: str) -> Path:
        """A store with the image `blob`, whose one layer is the blob."""
        store, layout = self.file.parent / "home", self.file.parent / "layout"
        if not store.exists():
            _write_layout(layout, self.file, self.digest)
            argv = [command, "--home", str(store), "copy", f"oci:{layout}:blob", "store:blob"]
            measure.timed(argv, HERE)
        return store

    def argv(self, verb: str) -> list[str]:
        if verb == "push":
            self.pushed += 1
        where = f"{self.host}/bench/r{self.pushed}"
        script = str(HERE / "transfer.py")
        return [sys.executable, script, verb, where, self.digest, str(self.size), str(self.file)]

    def curl_push(self) -> measure.Ran:
        self.pushed += 1
        begin = urllib.request.Request(
            f"http://{self.host}/v2/bench/r{self.pushed}/blobs/uploads/", method="POST"
        )
        with urllib.request.urlopen(begin) as answer:
            location = answer.headers["Location"]
        kind = "Content-Type: application/octet-stream"
        target = f"{location}&digest={self.digest}"
        argv = ["curl", "-sf", "-o", "/dev/null", "-H", kind, "-T", str(self.file), target]
        return measure.timed(argv, self.file.parent)

    def curl_pull(self) -> measure.Ran:
        sums = self.file.parent / "sums"
        sums.write_text(f"{self.digest.removeprefix('sha256:')}  -\n")
        url = f"http://{self.host}/v2/bench/r{self.pushed}/blobs/{self.digest}"
        return measure.timed(["sh", "-euc", PULLED, url, str(sums)], self.file.parent)


@contextlib.contextmanager
def blobs(folder: Path, scale: float) -> Iterator[Blobs]:
    content = random.Random(0).randbytes(int(SIZE * scale))
    with running(folder) as host:
        file = folder / "blob"
        file.write_bytes(content)
        yield Blobs(host, file, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))


def _write_layout(folder: Path, layer: Path, digest: str) -> None:
    """An OCI layout of one image, `blob`. What the layer unpacks to matters to nobody who only moves it."""
    kinds = "application/vnd.oci.image."
    (folder / "blobs/sha256").mkdir(parents=True)
    os.link(layer, folder / "blobs/sha256" / digest.removeprefix("sha256:"))

    def document(kind: str, content: dict[str, object]) -> dict[str, object]:
        text = json.dumps(content).encode()
        found = hashlib.sha256(text).hexdigest()
        (folder / "blobs/sha256" / found).write_bytes(text)
        return {"mediaType": kinds + kind, "digest": f"sha256:{found}", "size": len(text)}

    rootfs = {"type": "layers", "diff_ids": [digest]}
    config = document("config.v1+json", {"architecture": "amd64", "os": "linux", "rootfs": rootfs})
    size = layer.stat().st_size
    layers = [{"mediaType": kinds + "layer.v1.tar", "digest": digest, "size": size}]
    image = {"schemaVersion": 2, "mediaType": f"{kinds}manifest.v1+json"}
    manifest = document("manifest.v1+json", {**image, "config": config, "layers": layers})
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "blob"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


@contextlib.contextmanager
def running(folder: Path) -> Iterator[str]:
    """Its address; it makes FOLDER, and writes each request into `registry.log` there."""
    folder.mkdir()
    with (folder / "registry.log").open("w") as log:
        host, process = _started(folder, log)
        try:
            yield host
        finally:
            process.terminate()
            process.wait()


def _started(folder: Path, log: IO[str]) -> "tuple[str, subprocess.Popen[bytes]]":
    """At a port that was free just now; at another one if somebody took it meanwhile."""
    config = folder / "registry.yml"
    for _ in range(_TRIES):
        host = f"127.0.0.1:{_free_port()}"
        config.write_text(_CONFIG.format(folder=folder, host=host))
        process = subprocess.Popen(
            ["docker-registry", "serve", str(config)], stdout=log, stderr=subprocess.STDOUT
        )
        if _answers(host, process):
            return host, process
        process.kill()
        process.wait()
    raise measure.CommandError(f"docker-registry did not start: see {log.name}")


def _answers(host: str, process: "subprocess.Popen[bytes]") -> bool:
    name, _, port = host.partition(":")
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection((name, int(port))):
            return process.poll() is None
        if process.poll() is not None:
            break
        time.sleep(0.05)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HERE.parent)}
