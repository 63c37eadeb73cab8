"""What can be asked of registries? Their repositories: manifests and blobs out, blobs and manifests in.

    with Registries(Settings.load(os.environ), Credentials.load(os.environ)) as registries:
        repository = registries.repository(Reference.parse("registry.example.com/shop/api"))
        descriptor = repository.resolve("1.2")

Reading asks the registry's mirrors first, in order, and the registry itself last; writing asks the registry alone.
What is missing is None; what was refused is a RegistryError with the registry's own message (exit 4); bytes that are
not what their name says are a ContentError. Safe to use from several threads; every request is
listed in docs/technical/registry.md.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO, Final, Protocol, TypeVar
from urllib.parse import quote

from buildgraph.digest import Digest
from buildgraph.errors import BuildgraphError, ContentError
from buildgraph.events import Event, Observer, Warned
from buildgraph.names import Reference
from buildgraph.oci.descriptor import Descriptor
from buildgraph.registry.credentials import Credentials
from buildgraph.registry.documents import ACCEPT, Fetched, announced, check_answer, read_manifest
from buildgraph.registry.endpoint import Endpoints, Place
from buildgraph.registry.failure import CutError, RegistryError
from buildgraph.registry.patience import ATTEMPTS, Clock
from buildgraph.registry.progress import Progress
from buildgraph.registry.settings import Settings
from buildgraph.registry.stopping import Stop
from buildgraph.registry.transport import Request, Response, Transport
from buildgraph.registry.upload import BlobUpload, Uploaded, blob_exists

_Found = TypeVar("_Found")

__all__ = ["Fetched", "Known", "Registries", "RegistryError", "Repository", "Uploaded"]

_UNKNOWN: Final = frozenset(("BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN"))


class Known(Protocol):
    """Blobs that repositories were seen to have; only ever a reason not to ask. ``repository`` is its name."""

    def has(self, repository: str, digest: Digest) -> bool: ...

    def add(self, repository: str, digest: Digest) -> None: ...

    def forget(self, repository: str) -> None:
        """The registry lacks something that it was seen to have."""


class _Session:
    """Known for as long as a :class:`Registries` lives."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, Digest]] = set()

    def has(self, repository: str, digest: Digest) -> bool:
        return (repository, digest) in self._seen

    def add(self, repository: str, digest: Digest) -> None:
        self._seen.add((repository, digest))

    def forget(self, repository: str) -> None:
        self._seen = {pair for pair in self._seen if pair[0] != repository}


def _unheard(_event: Event) -> None:
    """Nobody listens."""


class Registries(AbstractContextManager["Registries"]):
    """All registries, over connections that are kept until the end, or until ``stop`` is set (StoppedError)."""

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        observer: Observer = _unheard,
        known: Known | None = None,
        clock: Clock | None = None,
        stop: Stop | None = None,
    ) -> None:
        self._transport = Transport(settings, clock, stop)
        self._endpoints = Endpoints(self._transport, credentials)
        self._observer = observer
        self._known = known or _Session()

    def repository(self, reference: Reference) -> "Repository":
        """Only host and path of ``reference`` count."""
        return Repository(self._transport, self._endpoints, reference, self._known, self._observer)

    def check(self, host: str) -> bool:
        """Does ``host`` take our credential? False when it asks nobody for one. Raises RegistryError."""
        return self._endpoints.check(host)

    def __exit__(self, *_: object) -> None:
        self._transport.close()


class Repository:
    """``name`` is its full one: ``127.0.0.1:5000/shop/api``, ``docker.io/library/debian``."""

    def __init__(
        self,
        transport: Transport,
        endpoints: Endpoints,
        reference: Reference,
        known: Known,
        observer: Observer,
    ) -> None:
        self._transport = transport
        self._place = endpoints.place(reference)
        self._mirrors = endpoints.mirrors(reference)
        self._known = known
        self._observer = observer
        self.name = self._place.name

    def resolve(self, reference: str, *, mirrors: bool = True) -> Descriptor | None:
        """The manifest or index that a tag or digest names, without fetching it where the registry says enough."""
        if not mirrors:
            return self._resolve_at(self._place, reference)
        return self._read(lambda place: self._resolve_at(place, reference))

    def manifest(self, reference: str) -> Fetched | None:
        """Raises ContentError (``bad-document``, ``old-manifest``, ``manifest-damaged``), RegistryError."""
        return self._read(lambda place: self._manifest_at(place, reference))

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """A stream of at most ``descriptor.size`` bytes; its end raises ContentError (``blob-damaged``) when they
        are not the digest's, any read RegistryError when the registry gives no more. The caller closes."""
        from buildgraph.registry.download import open_blob

        places = (*self._mirrors, self._place)
        return open_blob(self._transport, places, descriptor, self._distrust)

    def has_blob(self, digest: Digest) -> bool:
        if self._known.has(self.name, digest):
            return True
        found = blob_exists(self._transport, self._place, digest, "pull")
        if found:
            self._known.add(self.name, digest)
        return found

    def upload(
        self,
        descriptor: Descriptor,
        open_blob: Callable[[], BinaryIO],
        mount_from: Sequence[str] = (),
        *,
        unlikely: bool = False,
    ) -> Uploaded:
        """``open_blob`` is called for each try; a plain file costs least. ``mount_from``: paths of repositories of
        the same registry (``shop/base``) that may have it. ``unlikely``: it is mounted before it is asked for."""
        if self._known.has(self.name, descriptor.digest):
            return "present"
        digest, size = descriptor.digest, descriptor.size
        progress = Progress(self._observer, "upload", digest, self.name, size)
        upload = BlobUpload(self._transport, self._place, descriptor, open_blob, progress.at)
        result: Uploaded = "uploaded"
        mountless = self._place.endpoint.mountless
        first = mount_from[:1] if unlikely and not mountless.is_set() else ()
        if first and upload.mount(first):
            result = "mounted"
        elif upload.exists():
            upload.cancel()
            result = "present"
        elif upload.mount(mount_from[len(first) :]):
            result = "mounted"
        else:
            with progress:
                upload.send()
        self._known.add(self.name, descriptor.digest)
        return result

    def put_manifest(self, content: bytes, media_type: str, reference: str) -> Digest:
        """``reference`` is a tag or the content's own digest. One with a subject becomes a referrer of that."""
        digest = Digest.sha256(content)
        request = Request(
            "PUT",
            self._place.url(f"manifests/{_reference(reference)}"),
            f"{self._place.endpoint.host} does not take the manifest {self._place.path}{_joined(reference)}",
            {"Content-Type": media_type},
            content,
            self._place.auth,
            self._place.scope("pull,push"),
        )
        with self._transport.send(request) as response:
            if response.status not in (200, 201, 202, 204):
                error = response.refused()
                if not _UNKNOWN.isdisjoint(error.names):
                    self._known.forget(self.name)
                raise error
            check_answer(response, digest, f"the manifest of {self.name}{_joined(reference)}")
            listed = bool(response.header("OCI-Subject"))
        if not listed and b'"subject"' in content:
            self._enlist(content, media_type)
        return digest

    def _enlist(self, content: bytes, media_type: str) -> None:
        """For a registry without the API of referrers, as the specification wants it of clients."""
        from buildgraph.registry.referrers import enlist, fallback_tag, subject_of

        found = subject_of(content, media_type)
        if found is None:
            return
        subject, entry = found
        tag = fallback_tag(subject)
        current = self._manifest_at(self._place, tag)
        enlist(entry, current, lambda index, kind: self.put_manifest(index, kind, tag))

    def tags(self) -> Iterator[str]:
        """In the registry's order; page after page, as they are asked for. Nothing for a repository that is not."""
        from buildgraph.registry.listing import tags

        return tags(self._transport, self._place)

    def delete(self, reference: str) -> None:
        """A manifest by its digest, or a tag where the registry knows how. What is not there is deleted already."""
        request = Request(
            "DELETE",
            self._place.url(f"manifests/{_reference(reference)}"),
            f"{self._place.endpoint.host} does not delete {self._place.path}{_joined(reference)}",
            auth=self._place.auth,
            scopes=self._place.scope("delete,pull"),
        )
        with self._transport.send(request) as response:
            if response.status not in (200, 202, 204, 404):
                raise response.refused()

    def referrers(self, digest: Digest, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """What names ``digest`` as its subject: from the registry's API, else from the tag that stands in for it."""
        from buildgraph.registry.referrers import fallback_tag, index_of, referrers

        found = referrers(self._transport, self._place, digest)
        if found is None:
            fallback = self._manifest_at(self._place, fallback_tag(digest))
            found = index_of(fallback.content) if fallback else ()
        return tuple(d for d in found if artifact_type in ("", d.artifact_type))

    def _read(self, ask: Callable[[Place], _Found | None]) -> _Found | None:
        for mirror in self._mirrors:
            try:
                if found := ask(mirror):
                    return found
            except (RegistryError, ContentError) as error:
                self._warn(mirror, error)
        return ask(self._place)

    def _distrust(self, place: Place) -> None:
        self._mirrors = tuple(mirror for mirror in self._mirrors if mirror != place)

    def _warn(self, mirror: Place, error: BuildgraphError) -> None:
        host, own = mirror.endpoint.host, self._place.endpoint.host
        message = f"the mirror {host} failed, {own} is asked: {error.message}"
        self._observer(Warned("mirror-failed", message))

    def _resolve_at(self, place: Place, reference: str) -> Descriptor | None:
        with self._ask("HEAD", place, reference) as response:
            found = announced(response) if response.status == 200 else None
            if response.status == 404:
                return None
        wanted = _digest(reference)
        if found and wanted in (None, found.digest):
            return found
        fetched = self._manifest_at(place, reference)
        return fetched.descriptor if fetched else None

    def _manifest_at(self, place: Place, reference: str) -> Fetched | None:
        """A body that is cut is asked for again, as one that is refused."""
        retries = self._transport.retries()
        while True:
            try:
                with self._ask("GET", place, reference) as response:
                    if response.status == 404:
                        return None
                    if response.status != 200:
                        raise response.refused()
                    name = f"the manifest {place.name}{_joined(reference)}"
                    return read_manifest(response, name, _digest(reference))
            except CutError as error:
                origin = place.endpoint.base.origin
                if not self._transport.endure(retries, error, origin):
                    raise self._transport.lost(origin, error) from error

    def _ask(self, method: str, place: Place, reference: str) -> Response:
        request = Request(
            method,
            place.url(f"manifests/{_reference(reference)}"),
            f"{place.endpoint.host} does not give {place.path}{_joined(reference)}",
            {"Accept": ACCEPT},
            auth=place.auth,
            scopes=place.scope("pull"),
            attempts=2 if place.mirror else ATTEMPTS,
        )
        return self._transport.send(request)


def _reference(text: str) -> str:
    """A tag or digest inside a URL's path; whoever made it checked it, this keeps it one segment."""
    return quote(text, safe=":")


def _digest(reference: str) -> Digest | None:
    return Digest.parse(reference) if ":" in reference else None


def _joined(reference: str) -> str:
    return f"@{reference}" if ":" in reference else f":{reference}"
