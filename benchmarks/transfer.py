"""Move one blob with the registry client, and print the CPU seconds that this took.

    transfer.py push|pull HOST/PATH DIGEST SIZE FILE

Only the moving is counted; what the interpreter takes to start and to import is not a matter of the blob.
"""

import sys
import time
from pathlib import Path
from typing import BinaryIO

from buildgraph.digest import Digest
from buildgraph.names import Reference
from buildgraph.oci.descriptor import LAYER, Descriptor
from buildgraph.registry.client import Registries, Repository
from buildgraph.registry.credentials import Credentials
from buildgraph.registry.settings import Settings


def pull(repository: Repository, descriptor: Descriptor) -> None:
    block = bytearray(256 << 10)
    with repository.open_blob(descriptor) as stream:
        while stream.readinto(block):  # type: ignore[attr-defined]
            pass


def push(repository: Repository, descriptor: Descriptor, file: Path) -> None:
    def opened() -> BinaryIO:
        return file.open("rb")

    if repository.upload(descriptor, opened) != "uploaded":
        sys.exit("it was there before")


def main() -> None:
    verb, where, digest, size, file = sys.argv[1:]
    descriptor = Descriptor(LAYER, Digest.parse(digest), int(size))
    began = time.process_time()
    with Registries(Settings(), Credentials((), {})) as registries:
        repository = registries.repository(Reference.parse(where))
        if verb == "pull":
            pull(repository, descriptor)
        else:
            push(repository, descriptor, Path(file))
    print(time.process_time() - began)


if __name__ == "__main__":
    main()
