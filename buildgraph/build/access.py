"""Who is this user to a registry? Logging in and out, for the commands; nothing is kept that a registry refused."""

from collections.abc import Mapping
from typing import NamedTuple

from buildgraph.errors import RemoteError
from buildgraph.registry.authfile import Credential
from buildgraph.registry.client import Registries, RegistryError
from buildgraph.registry.credentials import Credentials
from buildgraph.registry.hosts import parse as registry_host
from buildgraph.registry.settings import Settings

__all__ = ["Kept", "login", "logout", "registry_host"]


class Kept(NamedTuple):
    """``place`` in words; ``asked``: the registry wanted to know who we are."""

    place: str
    encrypted: bool
    asked: bool


def login(environ: Mapping[str, str], host: str, username: str, password: str) -> Kept:
    """``host`` is canonical. Raises RemoteError (``login-refused``), MachineError, UsageError for unusable files."""
    credential = Credential(username, password)
    kept = Credentials.load(environ)
    with Registries(Settings.load(environ), Credentials.only(host, credential)) as registries:
        try:
            asked = registries.check(host)
        except RegistryError as error:
            if error.status not in (401, 403):
                raise
            raise RemoteError(
                "login-refused",
                error.message,
                hint="check the user name and the password; some registries want an access token in its place",
            ) from error
    place = kept.store(host, credential)
    return Kept(place, place.startswith("docker-credential-"), asked)


def logout(environ: Mapping[str, str], host: str) -> bool:
    """Forget what is kept for ``host``, everywhere; was there anything?"""
    return Credentials.load(environ).erase(host)
