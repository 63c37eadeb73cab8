"""How is each registry reached? TLS, mirrors, proxies and patience, as the user and the machine say it.

Three sources, each documented in docs/how-to/registries.md: the tables of ``config.toml``
(:mod:`buildgraph.registry.configfile`), the certificate folders that docker and podman have (``certs.d/HOST/`` with
``*.crt`` as authorities, ``NAME.cert`` and ``NAME.key`` for the client), and the proxy variables. Values only: nothing
here opens a connection or a certificate.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from buildgraph.errors import UsageError
from buildgraph.registry.configfile import HostTable, load_tables
from buildgraph.registry.configplaces import config_home, places
from buildgraph.registry.hosts import canonical, is_loopback
from buildgraph.registry.proxy import Proxies, ProxyServer
from buildgraph.values import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class HostSettings:
    """``plain_http``: unencrypted http may be spoken, because the host is this machine or the user says so.

    ``ca`` are files of authorities trusted besides the system's. ``mirrors`` are ``host[:port][/path]``, asked in order
    before the registry itself, for reading only.
    """

    plain_http: bool = False
    ca: tuple[Path, ...] = ()
    client_cert: Path | None = None
    client_key: Path | None = None
    mirrors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds. ``idle`` is how long a connection may say nothing; ``retry`` bounds all tries of one request."""

    connect: float = 15.0
    idle: float = 60.0
    retry: float = 90.0


@dataclass(frozen=True, slots=True)
class Settings:
    """``hosts`` by canonical host; ``folders`` hold ``HOST/*.crt``, the first that knows a host counts; ``ca`` is for
    every registry."""

    hosts: Mapping[str, HostTable] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()
    ca: tuple[Path, ...] = ()
    proxies: Proxies = field(default_factory=Proxies)
    timeouts: Timeouts = field(default_factory=Timeouts)

    @classmethod
    def load(
        cls, environ: Mapping[str, str], ca: Path | None = None, *, system: Path = Path("/etc")
    ) -> "Settings":
        """``ca`` is the workspace's bundle. Raises what is wrong with a config file, all of it (UsageError)."""
        return cls(
            hosts=load_tables(places(environ, system)).hosts,
            folders=tuple(_certificate_folders(environ, system)),
            ca=(ca,) if ca else (),
            proxies=Proxies.of(environ),
        )

    def for_host(self, host: str) -> HostSettings:
        """Reads the host's certificate folder. Raises UsageError ``bad-certificates`` for one that is incomplete."""
        host = canonical(host)
        table = self.hosts.get(host, HostTable())
        found = self._certificates(host)
        own = table.ca or found.ca
        plain = table.plain_http
        if plain is None:
            # Whoever gives a registry on this machine a certificate wants TLS to be spoken.
            plain = is_loopback(host) and not own
        return replace(
            found,
            plain_http=plain,
            ca=(*own, *self.ca),
            client_cert=table.client_cert or found.client_cert,
            client_key=table.client_key or found.client_key,
            mirrors=table.mirrors,
        )

    def proxy_for(self, scheme: str, host: str) -> ProxyServer | None:
        """For requests of ``scheme`` to ``host``."""
        return self.proxies.choose(scheme, host)

    def _certificates(self, host: str) -> HostSettings:
        for folder in self.folders:
            try:
                names = sorted(os.listdir(folder / host))
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue
            return _from_folder(folder / host, names)
        return HostSettings()


def _certificate_folders(environ: Mapping[str, str], system: Path) -> Iterator[Path]:
    for parent in (config_home(environ), system):
        if parent:
            yield parent / "containers" / "certs.d"
            yield parent / "docker" / "certs.d"


def _from_folder(folder: Path, names: list[str]) -> HostSettings:
    """docker's rule: every ``*.crt`` is an authority, ``NAME.cert`` goes with ``NAME.key``; the first pair is used."""
    pair: tuple[Path, Path] | None = None
    for name in names:
        stem, suffix = os.path.splitext(name)
        partner = {".cert": ".key", ".key": ".cert"}.get(suffix)
        if partner and stem + partner not in names:
            raise UsageError(
                "bad-certificates",
                f"{folder} has {name} and no {stem}{partner}",
                hint="a client certificate is two files, NAME.cert and NAME.key; an authority is NAME.crt",
            )
        if suffix == ".cert" and not pair:
            pair = (folder / name, folder / f"{stem}.key")
    authorities = tuple(folder / name for name in names if name.endswith(".crt"))
    return HostSettings(
        ca=authorities,
        client_cert=pair[0] if pair else None,
        client_key=pair[1] if pair else None,
    )
