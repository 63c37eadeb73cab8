"""Files and git repositories at addresses of a server of the tests' own."""

import hashlib
import os
import subprocess

from support.webserver import Exchange, Web


class Files(Web):
    """``files`` by path; ``tagged``: with ETags; ``modified`` is all of theirs Last-Modified. ``/to/X`` leads to ``/X``."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.tagged = True
        self.modified = ""

    def respond(self, exchange: Exchange) -> None:
        if exchange.at.startswith("/to/"):
            exchange.answer(302, b"", {"Location": exchange.at.removeprefix("/to")})
            return
        content = self.files.get(exchange.at)
        if content is None:
            exchange.answer(404, b"no such thing")
            return
        etag = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:8]}"'} if self.tagged else {}
        modified = {"Last-Modified": self.modified} if self.modified else {}
        exchange.answer(200, content, {**etag, **modified})


class Repository:
    """Served by ``web`` below ``/r.git``; every commit is made at the same second."""

    def __init__(self, folder, web):
        self.folder, self.web = folder, web
        folder.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *words):
        env = {
            **os.environ, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@b", "GIT_COMMITTER_DATE": "1000000000 +0000", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_ALLOW_PROTOCOL": "file:http",
        }  # fmt: skip
        done = subprocess.run(
            ["git", "-C", self.folder, *words], env=env, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, **files):
        for name, text in files.items():
            path = self.folder / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")
        self.serve()
        return self.git("rev-parse", "HEAD")

    def serve(self, name="r.git"):
        """By plain files, as any web server could."""
        self.git("repack", "-adq")
        self.git("update-server-info")
        for path in (self.folder / ".git").rglob("*"):
            if path.is_file():
                self.web.files[f"/{name}/{path.relative_to(self.folder / '.git')}"] = (
                    path.read_bytes()
                )
