"""The bytes of images: whoever changes them changes every digest that users have, and must mean to.

An intended change is a new digest here, with a fragment in ``changes/`` that says why. The layers' digests depend on
isal and are not part of this; their diff IDs do not, and are.
"""

import hashlib
import io

from support.capability import require_root
from support.images import image
from support.packed import AMD, PackedImage, directory, file, gone, hard, link

from buildgraph.digest import Digest
from buildgraph.image.archive import stream_archive
from buildgraph.image.assemble import LayerBlob, assemble
from buildgraph.image.layout import write_layout
from buildgraph.image.rootfs import write_tar
from buildgraph.oci.config import Config, Healthcheck, History
from buildgraph.store.base import Compressed

CONFIG = Config(
    "amd64",
    "linux",
    author="Ann",
    env=(("PATH", "/bin"), ("B", "ü"), ("A", "")),
    user="1000:1000",
    workdir="/srv",
    entrypoint=("/bin/x", "--flag"),
    cmd=(),
    exposed=("53/udp", "80/tcp"),
    volumes=("/data",),
    labels={"z": "1", "a": "2"},
    stop_signal="SIGINT",
    shell=("/bin/sh", "-c"),
    onbuild=("RUN x",),
    healthcheck=Healthcheck(("CMD", "true"), 1, 2, 3, 4, 5),
)

EXPECTED_CONFIG = (
    b'{"created":"1980-01-01T00:00:00Z","author":"Ann","architecture":"amd64","os":"linux","config":{"User":"1000:1000",'
    b'"ExposedPorts":{"53/udp":{},"80/tcp":{}},"Env":["PATH=/bin","B=\xc3\xbc","A="],"Entrypoint":["/bin/x","--flag"],'
    b'"Cmd":[],"Volumes":{"/data":{}},"WorkingDir":"/srv","Labels":{"a":"2","z":"1"},"StopSignal":"SIGINT",'
    b'"Healthcheck":{"Test":["CMD","true"],"Interval":1,"Timeout":2,"StartPeriod":3,"StartInterval":4,"Retries":5},'
    b'"OnBuild":["RUN x"],"Shell":["/bin/sh","-c"]},"rootfs":{"type":"layers","diff_ids":['
    b'"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",'
    b'"sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]},"history":['
    b'{"created":"2020-02-02T00:00:00Z","created_by":"base"},'
    b'{"created":"1980-01-01T00:00:00Z","created_by":"step app"}]}'
)

EXPECTED_MANIFEST = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":'
    b'"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%d},"layers":[{"mediaType":'
    b'"application/vnd.oci.image.layer.v1.tar+gzip","digest":'
    b'"sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc","size":3},{"mediaType":'
    b'"application/vnd.oci.image.layer.v1.tar+zstd","digest":'
    b'"sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","size":4}],'
    b'"annotations":{"a":"1","b":"2"}}'
)


def named(letter: str) -> Digest:
    return Digest("sha256:" + letter * 64)


def test_documents():
    gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    zstd = "application/vnd.oci.image.layer.v1.tar+zstd"
    layers = [
        LayerBlob(named("a"), Compressed(named("c"), 3, gzip), "unused"),
        LayerBlob(named("b"), Compressed(named("d"), 4, zstd), "step app"),
    ]
    base = Config(
        "amd64",
        "linux",
        diff_ids=(named("a"),),
        history=(History("2020-02-02T00:00:00Z", "base"),),
    )
    made = assemble(CONFIG, layers, base=base, annotations={"b": "2", "a": "1"})
    assert made.config_bytes == EXPECTED_CONFIG
    described = (hashlib.sha256(EXPECTED_CONFIG).hexdigest().encode(), len(EXPECTED_CONFIG))
    assert made.manifest_bytes == EXPECTED_MANIFEST % described


def test_index_of_a_layout(tmp_path):
    source = image([{"a": "1"}])
    write_layout(tmp_path, source, ["shop/api:1.0"])
    found = (tmp_path / "index.json").read_bytes()
    root = source.descriptor
    assert found == (
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":'
        b'"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":%d,"annotations":'
        b'{"io.containerd.image.name":"shop/api:1.0","org.opencontainers.image.ref.name":"1.0"},'
        b'"platform":{"architecture":"amd64","os":"linux"}}]}' % (root.digest.encode(), root.size)
    )


def test_archives(tmp_path):
    require_root()
    made = PackedImage(tmp_path, LAYERS, CONFIG, "none")
    for kind, expected in ARCHIVES.items():
        out = io.BytesIO()
        stream_archive(out, [(made.source, ["shop/api:1.0"])], kind)
        assert hashlib.sha256(out.getvalue()).hexdigest() == expected, kind


def test_filesystem(tmp_path):
    require_root()
    made = PackedImage(tmp_path, LAYERS, CONFIG, "none")
    write_tar(tmp_path / "x.tar", made.stack)
    assert hashlib.sha256((tmp_path / "x.tar").read_bytes()).hexdigest() == FILESYSTEM
    assert made.source.config.platform == AMD


LAYERS = [
    [
        link("bin", "usr/bin"),
        directory("etc"),
        file("etc/a", "one", 0o640, 7, 8),
        file("etc/b", "two"),
        hard("etc/c", "etc/b"),
        directory("tmp", 0o1777),
    ],
    [directory("etc", 0o750), gone("etc/b"), file("etc/ü", "x" * 5000)],
]

ARCHIVES = {
    "oci": "c32486438ae8a4b4548800b5fb444aa7b76e763270e8a1822c2ef4008ac4c017",
    "docker": "b547aee2074d145d8b8f1df2594ed8f1e5923cdb80b19f9f72e6202964fb8bdf",
}

FILESYSTEM = "a197fe41a552a61731b21da916702c49bf105967433c24e4aa469275008069cd"
