"""What is a remote cache, whatever keeps it? Records by name, blobs by digest.

A record is immutable as long as nobody says otherwise: the first one of a name wins. Blobs are there before the
record that names them. What is missing is None or False; a cache that cannot be asked is a RemoteError, damaged bytes
are a ContentError: whoever asks takes both for a miss. Safe to use from several threads and by any number of machines.
"""

from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from buildgraph.oci.descriptor import Descriptor


class RemoteCache(Protocol):
    @property
    def place(self) -> str:
        """What ``store.origins`` calls it: a repository, or the URL of a folder."""

    def get(self, name: str) -> bytes | None:
        """The record's bytes, at most 4 MiB; whoever parses them finds out whether they are one."""

    def has(self, name: str) -> bool: ...

    def put(self, name: str, record: bytes, *, replace: bool = False) -> None:
        """One that is there already stays, unless ``replace``.

        Raises ContentError ``blob-missing`` when the cache lacks a blob that it had: send the blobs again.
        """

    def lacks(self, blob: Descriptor) -> bool:
        """Whether a blob that a record names is known to be gone; a cache that would have to ask says no."""

    def open_blob(self, blob: Descriptor) -> BinaryIO:
        """A stream that raises ContentError at its end when the bytes were not the digest's. The caller closes."""

    def put_blob(
        self, blob: Descriptor, open_blob: Callable[[], BinaryIO], *, afresh: bool = False
    ) -> int:
        """How many bytes were sent: 0 of what was there.

        ``afresh``: what is there may be damaged; a cache that can replace it does.
        """

    def names(self) -> Iterator[str]:
        """Of all records, in any order."""

    def is_empty(self) -> bool:
        """Whether nobody ever put anything here."""
