"""How does a blob get into a repository? Not at all if it is there, by mounting, in one piece, or in chunks.

    HEAD  blobs/D                          200: it is there
    POST  blobs/uploads/?mount=D&from=R    201: mounted from another repository; 202: an upload has begun
    POST  blobs/uploads/                   202 with the Location of the upload
    PUT   Location?digest=D                the bytes; 201

After a cut, ``GET Location`` says what arrived, and when that is worth it only the rest is sent (PATCH, then PUT).
A registry that refuses one big piece (413, 405, 501, …) gets chunks of 16 MiB, or of what its ``OCI-Chunk-Min-Length``
wants, smaller after another 413.
"""

import re
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final, Literal
from urllib.parse import quote

from buildgraph.digest import Digest
from buildgraph.oci.descriptor import Descriptor
from buildgraph.registry.body import Body, Slice
from buildgraph.registry.documents import check_answer
from buildgraph.registry.endpoint import Place
from buildgraph.registry.failure import CutError, RegistryError
from buildgraph.registry.location import Url
from buildgraph.registry.transport import Request, Response, Transport
from buildgraph.values import replace

Uploaded = Literal["present", "mounted", "uploaded"]

_CHUNK: Final = 16 << 20
_SMALLEST: Final = 1 << 20
_LARGEST: Final = 1 << 30
_SOURCES: Final = 3
"""Repositories that are tried; a registry that mounts from none of these most likely mounts nothing."""
_WORTH: Final = 4 << 20
"""Bytes that must have arrived for an upload to be taken up again rather than begun anew."""
_TRIES: Final = 4
_IN_PIECES: Final = frozenset((405, 411, 413, 415, 501))
_LOST: Final = frozenset((400, 404, 409, 410, 416))
_RANGE: Final = r"(?:bytes=)?0-(\d{1,19})"


class BlobUpload:
    """One blob on its way to one repository; ``told`` hears how many of its bytes are on their way."""

    def __init__(
        self,
        transport: Transport,
        place: Place,
        descriptor: Descriptor,
        open_blob: Callable[[], BinaryIO],
        told: Callable[[int], None],
    ) -> None:
        self._transport = transport
        self._place = place
        self._descriptor = descriptor
        self._open = open_blob
        self._told = told
        self._retries = transport.retries(_TRIES)
        self._location: Url | None = None
        self._at = 0
        self._mark = 0
        self._pieces = False
        self._chunk = _CHUNK
        self._least = 0

    def exists(self) -> bool:
        """Raises RegistryError."""
        return blob_exists(self._transport, self._place, self._descriptor.digest, "pull,push")

    def mount(self, sources: Sequence[str]) -> bool:
        """From the first of the repositories ``sources`` of this registry that has it and lets us; three are tried."""
        return any(self._mount(source) for source in sources[:_SOURCES])

    def _mount(self, source: str) -> bool:
        self.cancel()
        query = f"mount={self._descriptor.digest}&from={quote(source, safe='/')}"
        request = self._request("POST", self._place.url(f"blobs/uploads/?{query}"))
        scopes = (*self._place.scope("pull,push"), f"repository:{source}:pull")
        try:
            with self._transport.send(replace(request, scopes=scopes)) as response:
                if response.status == 202:
                    self._place.endpoint.mountless.set()
                    self._began(response)
                return response.status == 201
        except (
            RegistryError
        ):  # a realm may refuse the other repository; what is really wrong shows soon
            return False

    def send(self) -> None:
        """Raises RegistryError; ContentError for a source that is not what the descriptor says."""
        while True:
            try:
                if self._location is None:
                    self._begin()
                response = self._pass()
            except CutError as error:
                if error.permanent or not self._retries.again(slow=error.slow):
                    raise self._transport.lost(self._place.endpoint.base.origin, error) from error
                self._take_up()
                continue
            if response is None:
                continue
            if 200 <= response.status < 300:
                with response:
                    check_answer(response, self._descriptor.digest, f"a blob of {self._place.name}")
                return
            self._after(response)

    def _after(self, response: Response) -> None:
        """A refusal: something else is tried, or it is raised."""
        if response.status in _IN_PIECES and not self._pieces:
            self._pieces = True
            self._at, self._location = 0, None
        elif response.status == 413 and self._chunk // 2 >= max(_SMALLEST, self._least):
            self._chunk //= 2
            self._at, self._location = 0, None
        elif self._transport.again(self._retries, response):
            self._take_up()
        elif response.status in _LOST and self._at and self._retries.again():
            self._at, self._location = 0, None  # the upload that was to be taken up is gone
        else:
            raise response.refused()
        response.close()

    def _begin(self) -> None:
        url = self._place.url("blobs/uploads/")
        with self._transport.send(self._request("POST", url)) as response:
            if response.status != 202:
                raise response.refused()
            self._began(response)

    def _began(self, response: Response) -> None:
        self._at = 0
        self._location = self._where(response)
        least = response.header("OCI-Chunk-Min-Length")
        if least.isascii() and least.isdigit():
            self._least = min(int(least[:12]), _LARGEST)
            self._chunk = max(self._chunk, self._least)

    def _where(self, response: Response) -> Url:
        location = response.header("Location")
        if not location:
            raise RegistryError(
                "registry-location",
                f"{self._place.endpoint.host} begins an upload and does not say where",
            )
        return response.url.follow(location)

    def _pass(self) -> Response | None:
        """Send the blob, or the next piece; None when there is more to come. Raises CutError."""
        assert self._location
        size = self._descriptor.size
        if not self._pieces and not self._at:
            return self._finish(self._slice(0, size))
        if self._at >= size:
            return self._finish(b"")
        count = min(self._chunk, size - self._at) if self._pieces else size - self._at
        last = self._at + count - 1
        headers = {"Content-Range": f"{self._at}-{last}"}
        request = self._request("PATCH", self._location, headers, self._slice(self._at, count))
        response = self._transport.once(request)
        if response.status not in (201, 202, 204):
            return response
        with response:
            self._location = self._where(response)
            self._at = last + 1
            self._progress()
        return None

    def _finish(self, body: Body) -> Response:
        assert self._location
        url = self._location.with_query(f"digest={quote(self._descriptor.digest, safe=':')}")
        return self._transport.once(self._request("PUT", url, body=body))

    def _progress(self) -> None:
        """Only what was never reached before counts, or a registry could have the blob sent for ever."""
        if self._at - self._mark >= _WORTH:
            self._mark = self._at
            self._retries.forgive()

    def _slice(self, offset: int, size: int) -> Slice:
        name = f"the blob {self._descriptor.digest}"
        return Slice(self._open, offset, size, name, self._told)

    def _take_up(self) -> None:
        """Ask what has arrived; without a useful answer the upload begins anew."""
        location, self._location = self._location, None
        self._at = 0
        if location is None or self._descriptor.size <= _WORTH:
            return
        try:
            with self._transport.send(self._request("GET", location)) as response:
                found = re.fullmatch(_RANGE, response.header("Range"))
                there = int(found[1]) + 1 if found and response.status in (200, 202, 204) else 0
                if _WORTH <= there <= self._descriptor.size:
                    self._at = there
                    self._location = (
                        self._where(response) if response.header("Location") else location
                    )
                    self._progress()
        except RegistryError:
            return

    def cancel(self) -> None:
        """An upload that a refused mount began may be of no use; the registry would keep it for days. Idempotent."""
        location, self._location = self._location, None
        if location is None:
            return
        try:
            self._transport.send(self._request("DELETE", location)).close()
        except RegistryError:
            return

    def _request(
        self,
        method: str,
        url: Url,
        headers: dict[str, str] | None = None,
        body: Body | None = None,
    ) -> Request:
        place = self._place
        own = url.origin == place.endpoint.base.origin
        kind = {} if body is None else {"Content-Type": "application/octet-stream"}
        return Request(
            method,
            url,
            f"{place.endpoint.host} does not take {self._descriptor.digest} into {place.path}",
            {**kind, **(headers or {})},
            body,
            place.auth if own else None,
            place.scope("pull,push"),
        )


def blob_exists(transport: Transport, place: Place, digest: Digest, actions: str) -> bool:
    """One HEAD. Raises RegistryError."""
    request = Request(
        "HEAD",
        place.url(f"blobs/{digest}"),
        f"{place.endpoint.host} does not say whether {place.path} has {digest}",
        auth=place.auth,
        scopes=place.scope(actions),
    )
    with transport.send(request) as response:
        if response.status == 404:
            return False
        if response.status != 200:
            raise response.refused()
        return True
