"""How is a blob read? As a stream that is checked while it passes, and taken up again where a connection broke.

Never more than the descriptor's size is read, and its end raises when the bytes were others than the digest says. A
connection that is cut or goes silent is replaced by a request for the rest (``Range``); a registry that does not know
ranges sends the beginning again, which is skipped. Each :data:`WORTH` bytes of progress buy the full number of tries.
What a mirror lacks or breaks off is taken from the next place.
"""

import hashlib
import io
import re
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Final, cast

from buildgraph.errors import ContentError
from buildgraph.oci.descriptor import Descriptor
from buildgraph.registry.endpoint import Place
from buildgraph.registry.failure import CutError, RegistryError
from buildgraph.registry.patience import ATTEMPTS
from buildgraph.registry.transport import Request, Response, Transport

WORTH: Final = 8 << 20
_TRIES: Final = 4
_BUFFER: Final = 256 << 10
_RANGE: Final = r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)"


def open_blob(
    transport: Transport,
    places: Sequence[Place],
    descriptor: Descriptor,
    distrust: Callable[[Place], None],
) -> BinaryIO:
    """``distrust`` is told of a place that gave other bytes.

    Raises RegistryError; ContentError (``blob-damaged``) when the size is wrong already."""
    if descriptor.digest.algorithm not in ("sha256", "sha512"):
        raise ContentError("bad-digest", f"{descriptor.digest} is no digest of an image's blob")
    stream = _BlobStream(transport, places, descriptor, distrust)
    try:
        stream.start()
    except BaseException:
        stream.close()
        raise
    return cast("BinaryIO", io.BufferedReader(stream, _BUFFER))


class _BlobStream(io.RawIOBase):
    def __init__(
        self,
        transport: Transport,
        places: Sequence[Place],
        descriptor: Descriptor,
        distrust: Callable[[Place], None],
    ) -> None:
        self._transport = transport
        self._places = list(places)
        self._descriptor = descriptor
        self._distrust = distrust
        self._hash = hashlib.new(descriptor.digest.algorithm)
        self._at = 0
        self._mark = 0
        self._retries = transport.retries(_TRIES)
        self._response: Response | None = None
        self._done = False

    def readable(self) -> bool:
        return True

    def start(self) -> None:
        self._response = self._next_response()

    def readinto(self, buffer: Any) -> int:
        left = self._descriptor.size - self._at
        view = memoryview(buffer).cast("B")[:left]
        if not view:
            self._finish()
            return 0
        while True:
            assert self._response
            try:
                count = _some(self._response, view)
            except CutError as error:
                self._resume(error)
                continue
            self._hash.update(view[:count])
            self._at += count
            return count

    def _finish(self) -> None:
        if self._done:
            return
        assert self._response
        if self._longer(self._response):
            self._response.discard()
            raise self._disowned("is longer than its size")
        if self._hash.hexdigest() != self._descriptor.digest.hex:
            raise self._disowned("has other bytes than its digest says")
        self._done = True
        self._response.close()

    def _longer(self, response: Response) -> bool:
        try:
            return response.readinto(bytearray(1)) > 0
        except CutError:
            return False  # all there should be has come

    def _resume(self, error: CutError) -> None:
        if self._response:
            self._response.discard()
            self._response = None
        if self._at - self._mark >= WORTH:
            self._mark = self._at
            self._retries.forgive()
        origin = self._places[0].endpoint.base.origin
        if error.permanent or not self._retries.again(slow=error.slow):
            if len(self._places) == 1:
                raise self._lost(error) from error
            self._leave_place()
        while self._response is None:
            try:
                self._response = self._next_response()
            except CutError as again:
                if not self._retries.again(slow=again.slow):
                    raise self._transport.lost(origin, again) from again

    def _lost(self, error: CutError) -> RegistryError:
        name, size = self._places[0].endpoint.host, self._descriptor.size
        return RegistryError(
            "registry-cut",
            f"{name} gave only {self._at} of the {size} bytes of {self._descriptor.digest}: {error.reason}",
        )

    def _leave_place(self) -> None:
        self._places.pop(0)
        self._retries = self._transport.retries(_TRIES)

    def _next_response(self) -> Response:
        """From the first place that gives one; earlier ones are not asked again."""
        while True:
            try:
                return self._ask(self._places[0])
            except (RegistryError, ContentError):
                if len(self._places) == 1:
                    raise
                self._leave_place()

    def _ask(self, place: Place) -> Response:
        digest = self._descriptor.digest
        request = Request(
            "GET",
            place.url(f"blobs/{digest}"),
            f"{place.endpoint.host} does not give {digest} of {place.path}",
            {"Range": f"bytes={self._at}-"} if self._at else {},
            auth=place.auth,
            scopes=place.scope("pull"),
            attempts=2 if place.mirror else ATTEMPTS,
        )
        response = self._transport.send(request)
        try:
            return self._accepted(response)
        except BaseException:
            response.discard()
            raise

    def _accepted(self, response: Response) -> Response:
        size, length = self._descriptor.size, response.length
        match response.status:
            case 200:
                begin = 0
            case 206 if self._at:
                begin = self._range_of(response)
            case _:
                raise response.refused()
        if length is not None and length != size - begin:
            word = "longer" if length > size - begin else "shorter"
            raise self._damaged(f"is {word} than its size ({begin + length} bytes)")
        if begin == 0 and self._at:
            self._skip(response)
        return response

    def _range_of(self, response: Response) -> int:
        found = re.fullmatch(_RANGE, response.header("Content-Range"))
        size = self._descriptor.size
        if not found or int(found[1]) != self._at or found[3] not in ("*", str(size)):
            raise RegistryError(
                "registry-range", f"{response.request.what}: it answers another range than asked"
            )
        return self._at

    def _skip(self, response: Response) -> None:
        """Raises CutError."""
        left, block = self._at, bytearray(_BUFFER)
        while left:
            left -= _some(response, memoryview(block)[:left])

    def _disowned(self, why: str) -> ContentError:
        """What was read is with the reader already; a next time this place is not asked."""
        self._distrust(self._places[0])
        return self._damaged(why)

    def _damaged(self, why: str) -> ContentError:
        name = self._places[0].name
        return ContentError(
            "blob-damaged", f"{self._descriptor.digest} of {name} {why} ({self._descriptor.size})"
        )

    def close(self) -> None:
        if not self.closed and self._response:
            if self._done:
                self._response.close()
            else:
                self._response.discard()
        super().close()


def _some(response: Response, view: memoryview) -> int:
    """At least one byte: a body without a length that ends here is a cut one. Raises CutError."""
    count = response.readinto(view)
    if not count:
        raise CutError("the connection ended too early")
    return count
