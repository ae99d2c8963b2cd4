"""Whose word on the client's address counts: that of the connection, and of proxies that were named (S3.10)."""

import ipaddress
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from conduit_local.config.settings import Settings
from conduit_local.http.proxies import Proxies
from tests.appliance import KEY, Appliance, serving
from tests.engines import payloads_below

TRUSTED = ("10.0.0.0/8", "192.0.2.1", "fd00::/8", "127.0.0.0/8")
PROXIES = Proxies(TRUSTED)
GARBAGE = [
    "",
    " ",
    "unknown",
    "_hidden",
    "localhost",
    "256.1.1.1",
    "1.2.3",
    "0x7f.1",
    "2130706433",
    "1.2.3.4.5",
    "::g",
    "[::1",
    "<script>",
    "\x1b[31m",
    "１.２.３.４",  # noqa: RUF001
    "1.2.3.4\r\nX: y",
    "a" * 10_000,
]

addresses = st.ip_addresses().map(str)
proxies = st.sampled_from(["10.0.0.1", "10.255.0.9", "192.0.2.1", "fd00::1", "::ffff:10.0.0.1"])
strangers = addresses.filter(lambda one: not any(ipaddress.ip_address(one) in ipaddress.ip_network(n) for n in TRUSTED))


def usual(address: str) -> str:
    ip = ipaddress.ip_address(address)
    return str((ip.ipv4_mapped if ip.version == 6 else None) or ip)


@given(strangers, st.lists(st.text(max_size=40) | addresses, max_size=4))
def test_a_stranger_may_say_what_it_likes(remote: str, said: list[str]) -> None:
    assert PROXIES.client_of(remote, said) == usual(remote)


@given(addresses, st.lists(st.text(max_size=40) | addresses, max_size=4))
def test_where_no_proxy_is_named_the_connection_alone_counts(remote: str, said: list[str]) -> None:
    assert Proxies().client_of(remote, said) == usual(remote)


@given(proxies, st.lists(st.text(max_size=30), max_size=3), strangers, st.lists(proxies, max_size=3), st.booleans())
def test_the_first_stranger_from_the_right_is_the_client(
    remote: str, forged: list[str], client: str, hops: list[str], in_one: bool
) -> None:
    """Whatever the client wrote in front of it itself."""
    said = [*forged, client, *hops]
    assert PROXIES.client_of(remote, [", ".join(said)] if in_one else said) == usual(client)


@given(proxies, st.lists(st.text(max_size=40) | addresses | st.sampled_from(GARBAGE), max_size=5))
def test_whatever_is_said_the_client_is_an_address_in_its_usual_form(remote: str, said: list[str]) -> None:
    found = PROXIES.client_of(remote, said)
    assert found is not None
    assert found == usual(found)


@pytest.mark.parametrize("garbage", GARBAGE)
def test_what_is_no_address_ends_the_chain_at_the_last_hop_that_is_believed(garbage: str) -> None:
    assert PROXIES.client_of("10.0.0.1", [f"203.0.113.9, {garbage}"]) == "10.0.0.1"
    assert PROXIES.client_of("10.0.0.1", [f"203.0.113.9, {garbage}, 10.0.0.2"]) == "10.0.0.2"
    assert PROXIES.client_of(garbage, ["203.0.113.9"]) is None


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("2001:0DB8:0:0::7", "2001:db8::7"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::1"),
        ("  203.0.113.9\t", "203.0.113.9"),
        ("10.9.9.9", "10.9.9.9"),
    ],
)
def test_ports_brackets_and_other_spellings_are_understood(said: str, client: str) -> None:
    assert PROXIES.client_of("10.0.0.1", [said]) == client
    assert PROXIES.client_of("::ffff:10.0.0.1", [said]) == client
    assert PROXIES.client_of("fd00::5", [said]) == client


def test_where_the_connection_has_no_address_nothing_is_believed() -> None:
    assert PROXIES.client_of(None, ["203.0.113.9"]) is None


# In the appliance -------------------------------------------------------------------------------------------

NAMED = "trusted_proxies: [127.0.0.0/8]\n"
PIPELINE = """
name: orders
id: pl_8f3a
batch: {max_age: 50ms}
enrich: {ip_field: ip}
"""


@pytest.fixture(scope="module", params=[NAMED, ""], ids=["named", "not named"])
def appliance(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("proxies")
    with serving(folder, {"orders": PIPELINE}, settings=request.param) as running:
        yield running


def test_the_client_that_a_named_proxy_tells_is_added_to_the_event(appliance: Appliance) -> None:
    named = (appliance.config / "conduit-local.yaml").exists()
    body = json.dumps({"pipeline_id": "pl_8f3a", "event_type": "a.b", "payload": {}}).encode()
    with socket.create_connection(("127.0.0.1", appliance.port), timeout=10) as connection:
        for lines in ("", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.9\r\n", "X-Forwarded-For: ,\r\n"):
            head = f"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n{lines}"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
    appliance.until_delivered()
    told = "203.0.113.9" if named else "127.0.0.1"
    assert [found["ip"] for found in payloads_below(Path(appliance.data) / "out")] == ["127.0.0.1", told, "127.0.0.1"]


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "proxy.example", "*", "10.0.0.0/33", "", "::g", "10.0.0.1:80"])
def test_a_network_that_is_none_is_refused_with_the_setting(wrong: str) -> None:
    with pytest.raises(ValidationError, match=r"trusted_proxies\.0\n.*must be a network like 10\.0\.0\.0/8"):
        Settings.model_validate({"trusted_proxies": [wrong]})
