"""How a PostgreSQL server is reached: as the settings say, and by nothing else that lies about on this machine."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from conduit_local.core.delivering import Finding
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.core.problems import problems_of
from conduit_local.core.spec import PipelineSpec
from conduit_local.destinations.tables.postgres import PostgresDestination, PostgresSpec
from conduit_local.destinations.tables.postgres_server import server_of
from conduit_local.egress.addresses import Addresses
from conduit_local.egress.guard import Guard
from conduit_local.egress.resolver import Resolver
from tests.destinations.landing import key, landing, numbered
from tests.destinations.postgres_server import DATABASE, PASSWORD, USER, PostgresServer
from tests.engines import destinations_at
from tests.making import spec

SECRET = "s3cr3t-pass"


def resolving(*addresses: str) -> Resolver:
    """A resolver that knows one answer."""
    return Resolver(lambda _host, port, _family: [(2, 1, 6, "", (address, port)) for address in addresses])


async def greeting(folder: Path, guard: Guard, resolver: Resolver | None = None, **settings: Any) -> Finding:
    """What comes of connecting."""
    made = PostgresDestination(
        PostgresSpec.model_validate({"create": True, **settings}), folder, Addresses(guard, resolver).of, ""
    )
    try:
        return (await made.probe())[0]
    finally:
        await made.close()


def given(server: PostgresServer, **more: Any) -> dict[str, Any]:
    """The settings one by one."""
    return {"host": "127.0.0.1", "port": server.port, "user": USER, "password": PASSWORD, "database": DATABASE, **more}


HERE = Guard((), loopback=True)


# What is said to the server --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["prefer", "require", "disable"])
async def test_settings_one_by_one_connect_as_a_dsn_does(tmp_path: Path, postgres: PostgresServer, mode: str) -> None:
    for settings in (given(postgres, sslmode=mode), {"dsn": postgres.dsn(sslmode=mode)}):
        found = await greeting(tmp_path, HERE, **settings)
        assert found.ok, found
        assert f"database {DATABASE}, as {USER}" in found.message
        assert found.message.endswith("no TLS" if mode == "disable" else "TLSv1.3")


async def test_the_appliances_own_environment_is_nobodys_credentials(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncpg would take what is missing from there, and connect."""
    home = tmp_path / "home"
    (home / ".postgresql").mkdir(parents=True)
    (home / ".pgpass").write_text(f"*:*:*:*:{PASSWORD}\n".replace("s:", "s\\:", 1))
    (home / ".pgpass").chmod(0o600)
    (home / ".pg_service.conf").write_text(f"[main]\npassword={PASSWORD}\nhost=127.0.0.1\n")
    for name, value in {
        "HOME": str(home),
        "PGPASSWORD": PASSWORD,
        "PGPASSFILE": str(home / ".pgpass"),
        "PGSERVICE": "main",
        "PGSERVICEFILE": str(home / ".pg_service.conf"),
        "PGUSER": USER,
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres.port),
        "PGDATABASE": DATABASE,
        "PGSSLMODE": "verify-full",
        "PGSSLNEGOTIATION": "direct",
        "PGTARGETSESSIONATTRS": "standby",
        "PGGSSLIB": "nonsense",
    }.items():
        monkeypatch.setenv(name, value)
    found = await greeting(tmp_path, HERE, dsn=f"postgres://{USER}@127.0.0.1:{postgres.port}/{DATABASE}")
    assert found.ok is False
    assert "password authentication failed" in found.message
    assert (await greeting(tmp_path, HERE, **given(postgres))).ok


async def test_a_unix_socket_is_reached_by_its_folder(tmp_path: Path, postgres: PostgresServer) -> None:
    found = await greeting(tmp_path, HERE, **given(postgres, host=str(postgres.folder)))
    assert found.ok, found
    dsn = f"{postgres.dsn().replace('127.0.0.1', '')}&host={postgres.folder}"
    assert (await greeting(tmp_path, HERE, dsn=dsn)).ok
    absent = await greeting(tmp_path, HERE, **given(postgres, host=str(tmp_path)))
    assert (absent.ok, "No such file" in absent.message) == (False, True)


# TLS -------------------------------------------------------------------------------------------------------


@pytest.fixture
def ca(tmp_path: Path, postgres: PostgresServer) -> str:
    """The server's certificate, in the data folder."""
    shutil.copyfile(postgres.certificate, tmp_path / "ca.pem")
    return "ca.pem"


async def test_a_certificate_is_held_against_the_name_and_not_the_address(
    tmp_path: Path, postgres: PostgresServer, ca: str
) -> None:
    resolver = resolving("127.0.0.1")
    full = given(postgres, sslmode="verify-full", ca_file=ca)
    assert (await greeting(tmp_path, HERE, resolver, **{**full, "host": "localhost"})).ok
    other = await greeting(tmp_path, HERE, resolver, **{**full, "host": "db.example.com"})
    assert other.ok is False
    assert "certificate" in other.message
    assert (await greeting(tmp_path, HERE, resolver, **{**full, "host": "db.example.com", "sslmode": "verify-ca"})).ok


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
async def test_a_certificate_that_nobody_vouches_for_is_for_a_person(
    tmp_path: Path, postgres: PostgresServer, mode: str
) -> None:
    settings = given(postgres, host="localhost", sslmode=mode, type="postgres")
    async with landing(tmp_path, settings) as made:
        pages = made.objects("x")
        assert pages is not None
        with pytest.raises(DestinationUnavailable, match="its certificate") as refused:
            await anext(pages)
    assert refused.value.needs_person


@pytest.mark.parametrize("content", [None, b"no certificate\n"])
async def test_certificates_that_cannot_be_read_are_named(
    tmp_path: Path, postgres: PostgresServer, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    async with landing(tmp_path, given(postgres, ca_file="ca.pem", type="postgres")) as made:
        with pytest.raises(DestinationUnavailable, match=r"read the certificates in .*ca\.pem") as refused:
            await made.write(key(1, 1), numbered(1, 1))
    assert refused.value.needs_person


@pytest.fixture
def without_tls(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """The same server, which speaks no TLS for a while."""

    def switch(value: str) -> None:
        postgres.stop()
        postgres.start(ssl=value)

    switch("off")
    yield postgres
    switch("on")


async def test_a_server_without_tls_is_refused_unless_it_is_only_preferred(
    tmp_path: Path, without_tls: PostgresServer
) -> None:
    found = await greeting(tmp_path, HERE, **given(without_tls, sslmode="require"))
    assert (found.ok, "speaks no TLS" in found.message) == (False, True)
    assert (await greeting(tmp_path, HERE, **given(without_tls, sslmode="prefer"))).ok


# Where it may go -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["10.1.2.3", "169.254.169.254", "::1", "127.0.0.1"])
async def test_an_address_that_the_guard_refuses_is_not_connected_to(tmp_path: Path, address: str) -> None:
    guard = Guard((), loopback=False)
    found = await greeting(tmp_path, guard, resolving(address), host="db.example.com")
    assert found.ok is False
    assert address in found.message
    mixed = await greeting(tmp_path, guard, resolving("203.0.114.1", address), host="db.example.com")
    assert address in mixed.message


async def test_what_was_looked_up_is_what_is_connected_to(tmp_path: Path, postgres: PostgresServer) -> None:
    """The name is asked for once: another answer, a moment later, reaches nobody."""
    asked: list[str] = []

    def look_up(host: str, port: int, _: int) -> list[tuple[Any, ...]]:
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    found = await greeting(tmp_path, HERE, Resolver(look_up), **given(postgres, host="db.example.com"))
    assert (found.ok, asked) == (True, ["db.example.com"])


async def test_the_next_address_is_tried_where_one_does_not_answer(tmp_path: Path, postgres: PostgresServer) -> None:
    found = await greeting(tmp_path, HERE, resolving("127.0.0.2", "127.0.0.1"), **given(postgres, host="db.test"))
    assert found.ok, found


async def test_a_name_that_is_not_known_is_worth_waiting_for(tmp_path: Path) -> None:
    def fail(*_: Any) -> list[tuple[Any, ...]]:
        raise OSError("Name or service not known")

    made = PostgresDestination(PostgresSpec(host="db.example.com"), tmp_path, Addresses(HERE, Resolver(fail)).of, "")
    pages = made.objects("x")
    with pytest.raises(DestinationUnavailable, match="not known") as refused:
        await anext(pages)
    assert not refused.value.needs_person


def destination(**settings: Any) -> PipelineSpec:
    return spec(destinations=[{"type": "postgres", **settings}])


@pytest.mark.parametrize(
    ("settings", "field", "said"),
    [
        ({"host": "/run/postgresql"}, "host", "Unix socket"),
        ({"dsn": "postgres://u@/db?host=/run/postgresql"}, "dsn", "Unix socket"),
        ({"host": "10.0.0.1"}, "host", "private"),
        ({"dsn": f"postgres://u:{SECRET}@[::ffff:10.0.0.1]/db"}, "dsn", "private"),
        ({"host": "169.254.169.254"}, "host", "link-local"),
        ({"host": "db.example.com", "ca_file": "secrets.key"}, "ca_file", "a file of the appliance's machine"),
    ],
)
async def test_an_api_may_not_name_what_is_the_machines_own(
    tmp_path: Path, settings: dict[str, Any], field: str, said: str
) -> None:
    async with destinations_at(tmp_path) as maker:
        (problem,) = maker.refused_to_apis(destination(**settings))
        assert problem.path == ("destinations", 0, field)
        assert said in problem.message
        assert SECRET not in problem.message
        assert maker.refused_to_apis(destination(host="db.example.com")) == []


# DSNs ------------------------------------------------------------------------------------------------------


def test_a_dsn_says_what_it_says_elsewhere() -> None:
    found = server_of("postgresql://us%40er:p%2Fa%3Ass@db.example.com:6432/my%20db?sslmode=require")
    assert (found.host, found.port, found.database, found.user, found.password, found.sslmode) == (
        *("db.example.com", 6432, "my db", "us@er", "p/a:ss", "require"),
    )
    assert "p/a:ss" not in repr(found)
    assert server_of("postgres://[2001:db8::1]/x").name == "postgres://[2001:db8::1]:5432/x"
    assert server_of("postgres://u@h?dbname=d&port=1&sslmode=disable", "verify-full").sslmode == "verify-full"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"host": "h", "dsn": "postgres://u@h/d"},
        {"dsn": f"mysql://u:{SECRET}@h/d"},
        {"dsn": f"host=h password={SECRET}"},
        {"dsn": f"postgres://u:{SECRET}@a,b/d"},
        {"dsn": f"postgres://u:{SECRET}@/d"},
        {"dsn": f"postgres://u:{SECRET}@%2Fvar%2Frun/d"},
        {"dsn": f"postgres://u:{SECRET}@h:99999/d"},
        {"dsn": f"postgres://u:{SECRET}@h:{SECRET}/d"},
        {"dsn": f"postgres://u:{SECRET}@h/d?sslmode=none"},
        {"dsn": f"postgres://u:{SECRET}@h/d?port=x"},
        {"dsn": f"postgres://u:{SECRET}@h/d?service=main"},
        {"dsn": f"postgres://u:{SECRET}@h/d?passfile=/etc/.pgpass"},
        {"dsn": f"postgres://u:{SECRET}@h/d?sslkey=/etc/key"},
        {"dsn": f"postgres://u:{SECRET}@h/d?="},
        {"host": "h", "table": "a.conduit_batches"},
        {"host": "h", "ca_file": "../ca.pem"},
        {"host": "h", "port": 0},
    ],
)
def test_settings_that_cannot_work_are_refused_without_telling_a_secret(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        PostgresSpec.model_validate(settings)
    told = problems_of(refused.value, PostgresSpec)
    assert told
    assert SECRET not in "".join(one.message for one in told)


def test_secrets_are_shown_to_nobody() -> None:
    made = PostgresSpec.model_validate({"dsn": f"postgres://u:{SECRET}@h/d"})
    other = PostgresSpec.model_validate({"host": "h", "password": SECRET})
    for one in (made, other):
        assert SECRET not in repr(one)
        assert SECRET not in one.model_dump_json()
