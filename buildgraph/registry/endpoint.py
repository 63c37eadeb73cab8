"""Where is a repository? Its registry's address and path there, and those of the mirrors that are asked before it.

docker.io is served by registry-1.docker.io, and its names without a folder lie in ``library/``. A mirror is
``host[:port][/path]``, and has the repository below its path. A host on this machine (loopback) is asked without
encryption first; it is spoken to in https when it turns out to want that. Elsewhere the settings alone decide.
"""

import threading

from buildgraph.names import Reference
from buildgraph.registry.auth import RegistryAuth, RepositoryAuth
from buildgraph.registry.credentials import Credentials
from buildgraph.registry.failure import CutError
from buildgraph.registry.hosts import DOCKER_HUB, canonical, is_loopback
from buildgraph.registry.location import Origin, Url
from buildgraph.registry.transport import Request, Transport
from buildgraph.values import dataclass, field

_HUB_SERVER = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A registry's API: ``base`` ends before ``/v2/``. ``mountless``: it was asked to mount a blob, and would not."""

    host: str
    base: Url
    auth: RegistryAuth
    mountless: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Place:
    """A repository at one endpoint; ``path`` is its name there."""

    endpoint: Endpoint
    path: str
    auth: RepositoryAuth
    mirror: bool = False

    def url(self, rest: str) -> Url:
        """``rest`` is what follows the repository's name: ``manifests/latest``."""
        return self.endpoint.base.at(f"/v2/{self.path}/{rest}")

    def scope(self, actions: str) -> tuple[str]:
        """``actions``: ``pull``, or ``pull,push``."""
        return (f"repository:{self.path}:{actions}",)

    @property
    def name(self) -> str:
        return f"{self.endpoint.host}/{self.path}"


class Endpoints:
    """Every registry's endpoint, found out once."""

    def __init__(self, transport: Transport, credentials: Credentials) -> None:
        self._transport = transport
        self._credentials = credentials
        self._lock = threading.Lock()
        self._known: dict[str, Endpoint] = {}
        self._auths: dict[tuple[str, str], RepositoryAuth] = {}

    def place(self, reference: Reference) -> Place:
        host = canonical(reference.host)
        return self._place(host, remote_path(host, reference.path))

    def _place(self, host: str, path: str, *, mirror: bool = False) -> Place:
        endpoint = self._endpoint(host)
        with self._lock:
            auth = self._auths.get((host, path))
            if auth is None:
                auth = self._auths[host, path] = RepositoryAuth(endpoint.auth, path)
        return Place(endpoint, path, auth, mirror)

    def mirrors(self, reference: Reference) -> tuple[Place, ...]:
        host = canonical(reference.host)
        path = remote_path(host, reference.path)
        found = []
        for mirror in self._transport.pool.host(host).mirrors:
            there, _, prefix = mirror.partition("/")
            full = f"{prefix.strip('/')}/{path}" if prefix.strip("/") else path
            found.append(self._place(canonical(there), full, mirror=True))
        return tuple(found)

    def check(self, host: str) -> bool:
        """Are we let in? False: yes, and everybody else, too. Raises RegistryError."""
        place = self._place(canonical(host), "")
        endpoint = place.endpoint
        what = f"{endpoint.host} does not let you in"
        request = Request("GET", endpoint.base.at("/v2/"), what, auth=place.auth)
        with self._transport.send(request) as response:
            if response.status != 200:
                raise response.refused()
        return endpoint.auth.challenge is not None

    def _endpoint(self, host: str) -> Endpoint:
        with self._lock:
            found = self._known.get(host)
            if found is None:
                base = self._base(host)
                auth = RegistryAuth(host, base.origin, self._credentials, self._transport)
                found = self._known[host] = Endpoint(host, base, auth)
            return found

    def _base(self, host: str) -> Url:
        server = _HUB_SERVER if host == DOCKER_HUB else host
        secure = Url.parse(f"https://{server}/")
        if not self._transport.pool.host(host).plain_http:
            return secure
        plain = Url.parse(f"http://{server}/")
        if is_loopback(host) and self._wants_tls(plain.origin, secure):
            return secure
        return plain

    def _wants_tls(self, plain: Origin, secure: Url) -> bool:
        """One request each way at most; a server that answers neither is asked without encryption later on."""
        try:
            with self._transport.exchange(Request("GET", Url(plain, "/v2/"), "")) as response:
                if response.status != 400:
                    return False
                # Go's and nginx' answer to http on a port of TLS
                return b"http" in response.read(4096).lower()
        except CutError:
            pass
        try:
            self._transport.exchange(Request("GET", secure.at("/v2/"), "")).close()
        except CutError as error:
            return error.untrusted or error.nameless
        return True


def remote_path(host: str, path: str) -> str:
    return f"library/{path}" if host == DOCKER_HUB and "/" not in path else path
