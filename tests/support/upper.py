"""An overlay's upper directory made by hand, and what lies below it."""

import os
import stat

from buildgraph.fs.changes import scan


class Stack:
    """An upper directory as overlayfs leaves it, and the merged view below it."""

    def __init__(self, place):
        self.upper = place / "upper"
        self.below = place / "below"
        for root in (self.upper, self.below):
            root.mkdir()
            root.chmod(0o755)

    def both(self, path, content=b"same", mode=0o644):
        for root in (self.upper, self.below):
            self.write(root, path, content, mode)

    def write(self, root, path, content=b"same", mode=0o644):
        place = root / path
        self.folders(root, path.rpartition("/")[0])
        place.write_bytes(content)
        place.chmod(mode)

    def folders(self, root, path):
        at = root
        for name in path.split("/") if path else ():
            at /= name
            if not at.exists():
                at.mkdir()
                at.chmod(0o755)

    def whiteout(self, path):
        self.folders(self.upper, path.rpartition("/")[0])
        os.mknod(self.upper / path, stat.S_IFCHR, 0)

    def opaque(self, path, name="trusted.overlay.opaque"):
        self.folders(self.upper, path)
        os.setxattr(self.upper / path, name, b"y")

    def scan(self, **options):
        return scan(self.upper, self.below, **options)

    def found(self):
        return [(i.entry.path.decode(), i.entry.kind) for i in self.scan()]
