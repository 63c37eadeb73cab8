"""docs/technical/store.md, tried: a store written by hand is read, what is written is what the page says."""

import hashlib
import json
import sqlite3
import zlib

from blake3 import blake3
from support.stores import CODEC, image, make

from buildgraph.digest import ActionKey, StepKey
from buildgraph.store.disk import pack
from buildgraph.store.local import LocalStore


def row(key: str, kind: bytes, body: bytes) -> bytes:
    body = kind + body
    return b"%08x" % zlib.crc32(key.encode() + body) + body


def test_a_packed_record_has_not_changed():
    assert pack("step:00", "11") == b'f6ae9419j"11"'
    assert pack("document:00", b"\0\xff") == b"c0e1af62b\0\xff"
    assert pack("step:00", "11") == row("step:00", b"j", b'"11"')


def test_records_written_by_hand_are_read(tmp_path):
    home = tmp_path / "home"
    tree = b"buildgraph-tree 1\0"
    name = blake3(tree).hexdigest()
    with LocalStore.open(home) as store:
        store.records.put_document("begin", b"the index exists now")
    (home / "blobs" / "blake3" / name).write_bytes(tree)
    fields = {
        "action": "aa",
        "diff_id": None,
        "identities": [],
        "kind": "copy",
        "made": 7,
        "seconds": 0.5,
        "size": 0,
        "tree": f"blake3:{name}",
    }
    records = {
        "action:aa": json.dumps(fields, sort_keys=True, separators=(",", ":")).encode(),
        "step:bb": b'"aa"',
    }
    with sqlite3.connect(home / "records" / "cache.db") as connection:
        for key, body in records.items():
            connection.execute(
                "INSERT INTO Cache (key, raw, store_time, mode, value) VALUES (?, 1, 0, 1, ?)",
                (key, row(key, b"j", body)),
            )
    connection.close()
    with LocalStore.open(home) as store:
        found = store.records.by_step([StepKey("bb")])[StepKey("bb")]
        assert (found.action, found.kind, found.made, found.tree) == (
            "aa",
            "copy",
            7,
            f"blake3:{name}",
        )


def test_every_written_row_is_as_described(tmp_path):
    home = tmp_path / "home"
    with LocalStore.open(home) as store:
        one = make(store, "one")
        store.records.by_action(ActionKey("a-one"))
        store.records.remember("ws/one", {"decision": "execute"}, seconds=2.0)
        store.layers.put_recipe(one.result.tree, "", one.layer)
    with sqlite3.connect(home / "records" / "cache.db") as connection:
        rows = connection.execute("SELECT key, raw, mode, filename, value FROM Cache").fetchall()
    connection.close()
    values = {}
    for key, raw, mode, filename, value in rows:
        assert (raw, mode, filename) == (1, 1, None)
        assert value == row(key, value[8:9], value[9:])
        values[key] = json.loads(value[9:]) if value[8:9] == b"j" else value[9:]
    assert set(values) == {
        "action:a-one",
        "step:s-one",
        "document:a-one",
        "use:a-one",
        "history:ws/one",
        f"layer:{one.layer}",
        f"recipe:{one.result.tree}:",
        f"compressed:{one.layer}",
    }
    assert values["step:s-one"] == "a-one"
    assert values[f"layer:{one.layer}"] == {"size": one.form.size, "tree": one.result.tree}
    assert values[f"compressed:{one.layer}"][CODEC]["digest"] == one.form.digest
    assert set(values["history:ws/one"]) == {"entries", "last", "seconds"}
    assert set(values["use:a-one"]) == {"count", "last"}


def test_the_home_folder_is_an_oci_layout(tmp_path):
    home = tmp_path / "home"
    with LocalStore.open(home) as store:
        store.images.tag("shop/api:dev", image(store, make(store, "one")))
    (entry,) = json.loads((home / "index.json").read_bytes())["manifests"]
    manifest = (home / "blobs" / "sha256" / entry["digest"].removeprefix("sha256:")).read_bytes()
    assert hashlib.sha256(manifest).hexdigest() == entry["digest"].removeprefix("sha256:")
    for part in (json.loads(manifest)["config"], *json.loads(manifest)["layers"]):
        content = (home / "blobs" / "sha256" / part["digest"].removeprefix("sha256:")).read_bytes()
        assert len(content) == part["size"]


def test_the_top_of_the_home_folder_holds_what_the_page_lists(tmp_path):
    home = tmp_path / "home"
    with LocalStore.open(home) as store:
        store.images.tag("a:1", image(store, make(store, "one")))
    assert {path.name for path in home.iterdir()} == {
        "store.json",
        "oci-layout",
        "index.json",
        "blobs",
        "snapshots",
        "records",
        "releases",
        "seen",
        "stat",
        "plans",
        "volumes",
        "generation",
        "leases",
        "tmp",
        "trash",
        "reserve",
    }
    assert (home / "reserve").stat().st_size == 4 << 20
