"""
Where a PostgreSQL server is, and how it is reached.

The driver would take what is missing from the appliance's environment (`PGPASSWORD`, `PGSSLMODE`, `~/.pgpass`, a client
certificate in the home folder): whoever makes a pipeline through an API would speak with the appliance's own
credentials. So it is told everything, and never gets to see a DSN.
"""

import asyncio
import importlib
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from conduit_local.core.errors import DestinationUnavailable
from conduit_local.destinations.tables.postgres_failures import AddressRefused, TlsRefused

SslMode = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]
Addresses = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host that may be reached (`Means.addresses`)."""

_CONNECT_WITHIN_S = 10.0
_NO_TLS = "rejected SSL upgrade"
_PARAMETERS = {"sslmode", "host", "port", "user", "password", "dbname"}
_FORM = "must be like postgres://user:password@host:5432/database?sslmode=verify-full"


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """Where to connect to, and as whom."""

    host: str
    """A name, an address, or the folder of a Unix socket."""
    port: int = 5432
    database: str = ""
    user: str = "postgres"
    password: str = field(default="", repr=False)
    sslmode: SslMode = "prefer"

    @property
    def is_socket(self) -> bool:
        """Whether it is reached through a file on this machine."""
        return self.host.startswith("/")

    @property
    def name(self) -> str:
        """For people, without what is secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgres://{host}:{self.port}/{self.database or self.user}"


def server_of(dsn: str, sslmode: SslMode | None = None) -> Server:
    """
    What a DSN says. `sslmode` wins over what stands in it.

    Raises: ValueError, which quotes nothing of it.
    """
    try:
        parts = urlsplit(dsn)
        port = parts.port
        given = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise ValueError(_FORM) from None
    if parts.scheme not in {"postgres", "postgresql"} or parts.fragment:
        raise ValueError(_FORM)
    unknown = sorted(set(given) - _PARAMETERS)
    if unknown:
        raise ValueError(f"has parameters that are not known here: {', '.join(unknown)[:200]}")
    host = given.get("host") or parts.hostname or ""
    if not host or "%" in host or "," in host:
        raise ValueError("must name one host; a Unix socket's folder stands in `?host=`")
    mode = sslmode or given.get("sslmode") or "prefer"
    if mode not in get_args(SslMode):
        raise ValueError(f"sslmode must be one of {', '.join(get_args(SslMode))}")
    user = given.get("user") or unquote(parts.username or "") or "postgres"
    return Server(
        host=host,
        port=_port(given["port"]) if given.get("port") else port or 5432,
        database=given.get("dbname") or unquote(parts.path.removeprefix("/")),
        user=user,
        password=given.get("password") or unquote(parts.password or ""),
        sslmode=cast(SslMode, mode),
    )


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65_536:
        raise ValueError("must name a port from 1 to 65535")
    return int(text)


class _Named(ssl.SSLContext):
    """Asks for the certificate of the host's name, whatever address of it is connected to."""

    host: str

    def wrap_bio(self, *args: Any, **named: Any) -> ssl.SSLObject:
        return super().wrap_bio(*args, **{**named, "server_hostname": self.host})


def tls_for(server: Server, ca: Path | None) -> ssl.SSLContext | None:
    """What TLS to speak, None for none; to be called in a thread. Raises: OSError for a file with no certificates."""
    if server.sslmode == "disable" or server.is_socket:
        return None
    context = _Named(ssl.PROTOCOL_TLS_CLIENT)
    context.host = server.host
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["postgresql"])
    context.check_hostname = server.sslmode == "verify-full"
    if ca is None and server.sslmode in {"prefer", "require"}:
        context.verify_mode = ssl.CERT_NONE
    elif ca is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(ca)
    return context


async def connected(server: Server, tls: ssl.SSLContext | None, addresses: Addresses) -> Any:
    """
    A connection of asyncpg to the first of the host's addresses that takes one.

    Raises: OSError, AddressRefused, TlsRefused, what asyncpg raises;
    DestinationUnavailable where that is not installed.
    """
    driver = await asyncio.to_thread(_driver)  # takes a quarter of a second, the first time
    async with asyncio.timeout(_CONNECT_WITHIN_S):
        if server.is_socket:
            return await _to(driver, server, server.host, None)
        refused: OSError | None = None
        try:
            found = await addresses(server.host, server.port)
        except ValueError as error:
            raise AddressRefused(str(error)) from error
        for address in found:
            try:
                return await _to(driver, server, address, tls)
            except TimeoutError:
                raise
            except OSError as error:
                refused = error
        raise refused or OSError(f"{server.host} has no address")


async def in_utf8(connection: Any) -> Any:
    """The connection itself. Raises: DestinationUnavailable, cutting it, where the database has another encoding."""
    try:
        encoding = await connection.fetchval("SELECT current_setting('server_encoding')")
    except BaseException:
        connection.terminate()
        raise
    if encoding == "UTF8":
        return connection
    connection.terminate()
    raise DestinationUnavailable(
        f"the database keeps its text as {encoding}, which has no place for every character of an event; name one that"
        " is UTF8: CREATE DATABASE events ENCODING 'UTF8' TEMPLATE template0",
        needs_person=True,
    )


def _driver() -> Any:
    try:
        return importlib.import_module("asyncpg")
    except ImportError as error:
        raise DestinationUnavailable(
            "asyncpg is not installed: pip install 'conduit-local[postgres]', and restart", needs_person=True
        ) from error


async def _to(driver: Any, server: Server, host: str, tls: ssl.SSLContext | None) -> Any:
    try:
        return await driver.connect(
            host=host,
            port=server.port,
            user=server.user,
            password=server.password,
            database=server.database or server.user,
            ssl=tls or False,
            direct_tls=False,
            target_session_attrs="any",
            krbsrvname="postgres",
            gsslib="gssapi",
            timeout=_CONNECT_WITHIN_S,
            statement_cache_size=0,  # a pooler between us and the server knows no prepared statements
            server_settings={"application_name": "conduit-local"},
        )
    except ConnectionError as error:
        if tls is None or _NO_TLS not in str(error):
            raise
        if server.sslmode != "prefer":
            raise TlsRefused(f"the server speaks no TLS, and sslmode is {server.sslmode}") from error
        return await _to(driver, server, host, None)
