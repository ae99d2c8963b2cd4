"""Which URLs and addresses may be called (fault 17)."""

import ipaddress
import socket
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conduit_local.egress.guard import Guard, UrlRefused, host_of

OUTWARD = Guard((), loopback=False)
AT_HOME = Guard((), loopback=True)

NEVER = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0.0.0.0",  # noqa: S104
    "0.1.2.3",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:5601:5601",  # Teredo, of 169.254.169.254
]
PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "203.0.113.7",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "fc00::1",
    "fd00::1",
    "fdff:ffff::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "64:ff9b:1::1",
    "::ffff:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "2002:c0a8:0101::1",
    "::10.0.0.1",
]
LOOPBACK = ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::1"]
PUBLIC = ["93.184.215.14", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1"]


def refused(guard: Guard, address: str) -> bool:
    """Whether the guard refuses it, when it is given in a URL and when it is connected to alike."""
    host = f"[{address}]" if ":" in address else address
    told = []
    for check, value in ((guard.check_address, address), (guard.check_url, f"http://{host}/hook")):
        try:
            check(value)
        except UrlRefused:
            told.append(True)
        else:
            told.append(False)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        guard.socket_factory((family, socket.SOCK_STREAM, 0, "", (address, 80))).close()
    except PermissionError:
        told.append(True)
    else:
        told.append(False)
    assert len(set(told)) == 1, (address, told)
    return told[0]


@pytest.mark.parametrize("address", NEVER)
def test_link_local_metadata_and_unspecified_are_refused_always(address: str) -> None:
    generous = Guard(("0.0.0.0/0", "::/0"), loopback=True)
    for guard in (OUTWARD, AT_HOME, generous):
        assert refused(guard, address), address


def test_a_metadata_address_named_narrowly_is_what_a_person_wants() -> None:
    assert not refused(Guard(("169.254.7.0/24",), loopback=False), "169.254.7.9")
    assert refused(Guard(("169.254.0.0/16",), loopback=False), "169.254.7.9")
    assert not refused(Guard(("fe80::/64",), loopback=False), "fe80::1%eth0")


@pytest.mark.parametrize("address", PRIVATE)
def test_private_and_reserved_are_refused_unless_their_network_is_named(address: str) -> None:
    assert refused(OUTWARD, address)
    assert refused(AT_HOME, address)
    ip = ipaddress.ip_address(address)
    inside = [ip]
    if isinstance(ip, ipaddress.IPv6Address):
        inside = [found for found in (ip.ipv4_mapped, ip.sixtofour) if found] or [ip]
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            inside = [ipaddress.ip_address("10.0.0.1")]
    assert not refused(Guard((f"{inside[0]}/{inside[0].max_prefixlen}",), loopback=False), address)


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_is_for_appliances_on_loopback(address: str) -> None:
    assert refused(OUTWARD, address)
    assert not refused(AT_HOME, address)
    assert refused(Guard(("0.0.0.0/0", "::/0"), loopback=False), address), "a generous network does not mean loopback"
    assert not refused(Guard(("127.0.0.0/8", "::1/128"), loopback=False), address)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_internet_may_be_reached(address: str) -> None:
    assert not refused(OUTWARD, address)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
@example(ipaddress.ip_address("192.0.0.100"))
def test_what_the_standard_library_calls_not_global_is_never_reached(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if not ip.is_global or ip.is_multicast or ip.is_reserved or ip.is_link_local or ip.is_loopback:
        inside = isinstance(ip, ipaddress.IPv6Address) and (ip.ipv4_mapped or ip.sixtofour or ip.teredo)
        if not inside and ip not in ipaddress.ip_network("64:ff9b::/96"):
            assert refused(OUTWARD, str(ip))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_ipv6_dress(ip: ipaddress.IPv4Address) -> None:
    plain, bits = refused(OUTWARD, str(ip)), int(ip)
    dresses = (
        ipaddress.IPv6Address(0xFFFF << 32 | bits),
        ipaddress.IPv6Address(0x64FF9B << 96 | bits),
        ipaddress.IPv6Address(0x2002 << 112 | bits << 80 | 1),
    )
    assert [refused(OUTWARD, str(dress)) for dress in dresses] == [plain] * 3


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6), st.integers(0, 128))
def test_a_named_network_opens_itself_and_nothing_beside_it(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int
) -> None:
    network = ipaddress.ip_network(f"{ip}/{min(length, ip.max_prefixlen)}", strict=False)
    guard = Guard((str(network),), loopback=False)
    for other in (network.network_address - 1 if int(network.network_address) else ip, network.broadcast_address):
        if other not in network:
            assert refused(guard, str(other)) == refused(OUTWARD, str(other))


def spellings(ip: str) -> list[str]:
    """What C libraries read as the same IPv4 address."""
    a, b, c, d = (int(part) for part in ip.split("."))
    (number,) = struct.unpack("!I", socket.inet_aton(ip))
    return [
        str(number),
        hex(number),
        f"0{number:o}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        f"{a}.{b << 16 | c << 8 | d}",
        f"{a}.{b}.{c << 8 | d}",
        f"{a:#x}.{b << 16 | c << 8 | d}",
    ]


@pytest.mark.parametrize("ip", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "93.184.215.14"])
def test_addresses_in_decimal_octal_and_short_forms_are_refused(ip: str) -> None:
    for guard in (OUTWARD, AT_HOME):
        for spelled in spellings(ip):
            assert socket.inet_aton(spelled) == socket.inet_aton(ip), spelled
            with pytest.raises(UrlRefused):
                guard.check_url(f"http://{spelled}/")
            with pytest.raises(UrlRefused):
                guard.check_url(f"http://{spelled}./")


@given(st.from_regex(r"[0-9a-fx.]{1,20}", fullmatch=True))
def test_whatever_a_c_library_reads_as_an_address_is_judged_as_that_address(host: str) -> None:
    try:
        ip = socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return
    try:
        OUTWARD.check_url(f"http://{host}/")
    except UrlRefused:
        return
    OUTWARD.check_address(ip)


@pytest.mark.parametrize(
    "url",
    [
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://:@example.com/",
        "https://example.com@127.0.0.1/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "unix:///var/run/docker.sock",
        "javascript:alert(1)",
        "//example.com/",
        "example.com/",
        "http://",
        "http:///path",
        "http://:80/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:-1/",
        "http://example.com:http/",
        "http://exa mple.com/",
        "http://example.com\\@127.0.0.1/",
        "http://example.com/\r\nX-Header: 1",
        "http://example.com/\x00",
        "http://exam\u200bple.com/",
        "http://①②⑦.0.0.1/",
        "http://%31%32%37.0.0.1/",
        "http://-example.com/",
        "http://a..b/",
        "http://[::1/",
        "http://[127.0.0.1]/",
        "http://[v1.x]/",
        "http://[fe80::1%25eth0]/",
        f"http://{'a' * 64}.com/",
        f"http://example.com/{'a' * 2048}",
        "",
    ],
)
def test_what_is_no_plain_http_url_is_refused(url: str) -> None:
    for guard in (OUTWARD, AT_HOME):
        with pytest.raises(UrlRefused):
            guard.check_url(url)


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "localhost.", "a.localhost"])
def test_localhost_by_name_is_loopback(name: str) -> None:
    AT_HOME.check_url(f"http://{name}:8080/")
    with pytest.raises(UrlRefused):
        OUTWARD.check_url(f"http://{name}:8080/")


@pytest.mark.parametrize("url", ["https://example.com", "http://my_host.example:8080/a?b=c#d", "https://EXAMPLE.com./"])
def test_usual_urls_pass(url: str) -> None:
    OUTWARD.check_url(url)


@given(st.text(max_size=80) | st.builds("http://{}".format, st.text(max_size=60)))
def test_any_text_gives_a_host_or_a_refusal(url: str) -> None:
    try:
        host = host_of(url)
    except UrlRefused:
        return
    assert host
    assert host == host.lower()
