"""Which tags has a repository? And any list that comes in pages (distribution-spec, "Listing Tags")."""

from collections.abc import Iterator
from typing import Final

from buildgraph.oci.descriptor import INDEX
from buildgraph.oci.document import LARGEST, decode
from buildgraph.registry.documents import media_type
from buildgraph.registry.endpoint import Place
from buildgraph.registry.failure import CutError, RegistryError
from buildgraph.registry.location import Url, next_page
from buildgraph.registry.transport import Request, Transport

_PAGE: Final = 1000
_MOST_PAGES: Final = 10_000


def tags(transport: Transport, place: Place) -> Iterator[str]:
    """Raises RegistryError, ContentError (``bad-document``)."""
    first = place.url(f"tags/list?n={_PAGE}")
    for content, _ in pages(transport, place, first, "its tags"):
        found = decode(content, f"the tags of {place.name}").texts("tags")
        yield from found or ()


def pages(
    transport: Transport, place: Place, url: Url | None, what: str
) -> Iterator[tuple[bytes, str]]:
    """Each page with its media type; none for a 404."""
    seen: set[str] = set()
    while url:
        if str(url) in seen or len(seen) >= _MOST_PAGES:
            raise RegistryError(
                "registry-pages",
                f"{place.endpoint.host} lists {what} of {place.path} without an end",
            )
        seen.add(str(url))
        page = _page(transport, place, url, what)
        if page is None:
            return
        content, kind, url = page
        yield content, kind


def _page(
    transport: Transport, place: Place, url: Url, what: str
) -> tuple[bytes, str, Url | None] | None:
    request = Request(
        "GET",
        url,
        f"{place.endpoint.host} does not list {what} of {place.path}",
        {"Accept": f"{INDEX}, application/json"},
        auth=place.auth,
        scopes=place.scope("pull"),
    )
    with transport.send(request) as response:
        if response.status == 404:
            return None
        if response.status != 200:
            raise response.refused()
        try:
            content = response.read(LARGEST + 1)  # a longer one is refused by who decodes it
        except CutError as error:
            raise transport.lost(url.origin, error) from error
        if len(content) > LARGEST:
            response.discard()
        return content, media_type(response), next_page(response.all("Link"), url)
