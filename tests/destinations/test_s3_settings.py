"""What is said about a bucket: what fits together, whose keys are used, and what an API may not ask for."""

import datetime
import ipaddress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from conduit_local.core.errors import DestinationUnavailable
from conduit_local.destinations.s3 import client as s3_client
from conduit_local.destinations.s3.credentials import Identity, Keys, NoCredentials, identity_of
from conduit_local.destinations.s3.failures import Failure
from conduit_local.destinations.s3.spec import S3Spec, refusals
from conduit_local.egress.guard import Guard
from tests.destinations.s3_servers import Server, rclone_at
from tests.destinations.test_contract import content
from tests.destinations.test_s3 import KEY, LINES, landing
from tests.engines import destinations_at
from tests.making import spec as pipeline_spec

INLINE = {"access_key_id": "key", "secret_access_key": "hidden"}


MISLEADING = {
    "AWS_ACCESS_KEY_ID": "environment-key",
    "AWS_CA_BUNDLE": "/none.pem",
    "AWS_CONFIG_FILE": "/none",
    "AWS_DEFAULTS_MODE": "auto",
    "AWS_DEFAULT_REGION": "sa-east-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "AWS_PROFILE": "nobody",
    "AWS_SECRET_ACCESS_KEY": "environment-secret",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "REQUESTS_CA_BUNDLE": " ",
}


def spec(**settings: Any) -> S3Spec:
    return S3Spec.model_validate({"bucket": "lake", **settings})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"bucket": "s3://lake/raw"}, "folders in it are its `prefix`"),
        ({"bucket": "l"}, "3 to 255 letters"),
        ({"bucket": "a..b"}, "3 to 255 letters"),
        ({"prefix": "/raw"}, "no `/` at its begin"),
        ({"prefix": "raw/"}, "no `/` at its begin"),
        ({"prefix": "raw/../other"}, "no `..`"),
        ({"prefix": "raw\n"}, "visible characters"),
        ({"endpoint_url": "127.0.0.1:9000"}, "like http://127.0.0.1:9000"),
        ({"endpoint_url": "http://[::1"}, "is not a URL"),
        ({"endpoint_url": "http://object_store:9000"}, "a host without `_`"),
        ({"endpoint_url": "http://key:secret@host"}, "keys belong into access_key_id"),
        ({"endpoint_url": "http://host/?x=1"}, "neither a user nor a query"),
        ({"region": "eu central"}, "like eu-central-1"),
        ({"access_key_id": "key"}, "access_key_id needs secret_access_key with it"),
        ({"secret_access_key": "hidden"}, "secret_access_key needs access_key_id with it"),
        ({"session_token": "token"}, "session_token needs access_key_id"),
        ({**INLINE, "profile": "lander"}, "only one of them"),
        ({"anonymous": True, "profile": "lander"}, "only one of them"),
        ({"kms_key_id": "alias/lake"}, "needs `server_side_encryption: aws:kms`"),
        ({"ca_file": "ca.pem"}, "must be an absolute path"),
        ({"ca_file": "/ca.pem", "endpoint_url": "http://host"}, "needs an endpoint_url with https"),
        ({"bucket": "my.lake", "path_style": False}, "needs `path_style: true`"),
        ({"tags": {str(number): "" for number in range(11)}}, "at most 10 tags"),
        ({"tags": {"a&b": "c"}}, "may hold letters, digits"),
        ({"part_size": "1MiB"}, "greater than or equal to"),
        ({"server_side_encryption": "sse-c"}, "Input should be"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_what_to_do(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        spec(**settings)
    assert said in str(caught.value)


def test_secrets_are_not_shown() -> None:
    shown = spec(**INLINE, session_token="hidden").model_dump_json()
    assert "hidden" not in shown
    assert "hidden" not in repr(spec(**INLINE))
    assert "hidden" not in repr(Identity(Keys("key", "hidden", "hidden"), "us-east-1"))


@pytest.mark.parametrize(
    ("settings", "region", "url"),
    [
        ({}, "eu-west-1", "https://lake.s3.eu-west-1.amazonaws.com/k"),
        ({}, "us-east-1", "https://lake.s3.us-east-1.amazonaws.com/k"),
        ({"path_style": True}, "eu-west-1", "https://s3.eu-west-1.amazonaws.com/lake/k"),
        ({"bucket": "my.lake"}, "us-east-1", "https://s3.us-east-1.amazonaws.com/my.lake/k"),
        ({"bucket": "Old_Lake"}, "us-east-1", "https://s3.us-east-1.amazonaws.com/Old_Lake/k"),
        ({}, "cn-north-1", "https://lake.s3.cn-north-1.amazonaws.com.cn/k"),
        ({"endpoint_url": "http://127.0.0.1:9000"}, "x", "http://127.0.0.1:9000/lake/k"),
        ({"endpoint_url": "https://s.example.org/base/"}, "x", "https://s.example.org/base/lake/k"),
        ({"endpoint_url": "https://s.example.org", "path_style": False}, "x", "https://lake.s.example.org/k"),
        ({"endpoint_url": "http://[::1]:9000"}, "x", "http://[::1]:9000/lake/k"),
    ],
)
@pytest.mark.parametrize("keys", [None, Keys("key", "hidden")])
def test_where_a_bucket_is_whatever_the_environment_says(
    settings: dict[str, Any], region: str, url: str, keys: Keys | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in MISLEADING.items():
        monkeypatch.setenv(name, value)
    s3_client._session.cache_clear()
    asked = []

    def send(request: Any, **_: Any) -> None:
        asked.append((request.url, "Authorization" in request.headers))
        raise Failure("not sent")

    client = s3_client.client_of(spec(**settings), Identity(keys, region), send)
    with pytest.raises(Failure, match="not sent"):
        client.head_object(Bucket=spec(**settings).bucket, Key="k")
    assert asked == [(url, keys is not None)]


def write_profiles(folder: Path) -> dict[str, str]:
    (folder / ".aws").mkdir()
    (folder / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = default-key\naws_secret_access_key = default-secret\n"
        "[lander]\naws_access_key_id = lander-key\naws_secret_access_key = lander-secret\naws_session_token = token\n"
    )
    (folder / ".aws" / "config").write_text(
        "[profile lander]\nregion = eu-central-1\n[profile other]\nrole_arn = arn:aws:iam::1:role/x\n"
    )
    return {"HOME": str(folder)}


def test_keys_come_from_the_settings_then_the_environment_then_a_profile(tmp_path: Path) -> None:
    profiles = write_profiles(tmp_path)
    variables = profiles | {
        "AWS_ACCESS_KEY_ID": "env-key",
        "AWS_SECRET_ACCESS_KEY": "env-secret\n",
        "AWS_REGION": "ap-south-1",
    }
    assert identity_of(spec(**INLINE), variables) == Identity(Keys("key", "hidden"), "us-east-1")
    assert identity_of(spec(), variables) == Identity(Keys("env-key", "env-secret"), "ap-south-1")
    assert identity_of(spec(), profiles) == Identity(Keys("default-key", "default-secret"), "us-east-1")
    lander = Keys("lander-key", "lander-secret", "token")
    assert identity_of(spec(profile="lander"), profiles) == Identity(lander, "eu-central-1")
    assert identity_of(spec(), profiles | {"AWS_PROFILE": "lander"}) == Identity(lander, "eu-central-1")
    assert identity_of(spec(profile="lander"), variables).keys == lander
    assert identity_of(spec(profile="lander", region="x"), variables).region == "x"
    assert identity_of(spec(anonymous=True), variables) == Identity(None, "us-east-1")


def test_where_there_are_no_keys_it_says_where_they_were_looked_for(tmp_path: Path) -> None:
    with pytest.raises(NoCredentials, match=r"neither access_key_id .* AWS_ACCESS_KEY_ID .*credentials.*anonymous"):
        identity_of(spec(), {"HOME": str(tmp_path)})
    profiles = write_profiles(tmp_path)
    with pytest.raises(NoCredentials, match="there is no profile 'nobody' in"):
        identity_of(spec(profile="nobody"), profiles)
    with pytest.raises(NoCredentials, match="role_arn, which is not followed here"):
        identity_of(spec(profile="other"), profiles)
    (tmp_path / ".aws" / "credentials").write_text("aws_secret_access_key = hidden\n")
    with pytest.raises(NoCredentials, match="is no profile file") as caught:
        identity_of(spec(profile="lander"), profiles)
    assert "hidden" not in str(caught.value)


async def test_without_keys_nothing_is_connected_to(tmp_path: Path) -> None:
    async with landing(tmp_path, {"bucket": "lake"}, environment={"HOME": str(tmp_path)}) as made:
        with pytest.raises(DestinationUnavailable, match="no credentials: ") as caught:
            await made.write(KEY, content(1, 10))
        assert caught.value.needs_person


async def test_nothing_but_the_settings_counts(tmp_path: Path, moto: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = moto.new_bucket()
    for name, value in MISLEADING.items():
        monkeypatch.setenv(name, value)
    s3_client._session.cache_clear()
    async with landing(tmp_path, moto.settings(bucket)) as made:
        await made.write(KEY, content(1, 10))
    async with landing(tmp_path, {"bucket": bucket, "endpoint_url": moto.url, "anonymous": True}) as nobody:
        with pytest.raises(DestinationUnavailable, match="403 "):
            await nobody.write(KEY, content(1, 10))
    monkeypatch.undo()
    assert moto.objects(bucket) == {KEY: LINES}


async def test_new_keys_in_a_profile_are_found_without_a_restart(tmp_path: Path, moto: Server) -> None:
    bucket = moto.new_bucket()
    environment = write_profiles(tmp_path)
    settings = {"bucket": bucket, "endpoint_url": moto.url, "profile": "lander"}
    async with landing(tmp_path, settings, environment=environment) as made:
        with pytest.raises(DestinationUnavailable, match="403 InvalidAccessKeyId"):
            await made.write(KEY, content(1, 10))
        (tmp_path / ".aws" / "credentials").write_text(
            f"[lander]\naws_access_key_id = {moto.access_key_id}\naws_secret_access_key = {moto.secret_access_key}\n"
        )
        await made.write(KEY, content(1, 10))
    assert moto.objects(bucket) == {KEY: LINES}


def test_an_api_may_not_use_what_belongs_to_the_appliance() -> None:
    check = Guard((), loopback=False).check_url

    def fields(**settings: Any) -> set[str]:
        return set(refusals(spec(**settings), check, ambient=False))

    assert fields() == {"access_key_id"}
    assert fields(profile="lander") == {"profile"}
    assert fields(**INLINE) == set()
    assert fields(anonymous=True) == set()
    assert fields(**INLINE, ca_file="/ca.pem") == {"ca_file"}
    assert fields(**INLINE, endpoint_url="http://169.254.169.254") == {"endpoint_url"}
    assert fields(**INLINE, endpoint_url="http://10.0.0.1:9000") == {"endpoint_url"}
    for settings in ({}, {"profile": "lander"}, {"ca_file": "/ca.pem"}):
        assert refusals(spec(**settings), check, ambient=True) == {}
    assert "ambient_credentials" in refusals(spec(), check, ambient=False)["access_key_id"]


async def test_what_an_api_may_not_use_is_said_by_field(tmp_path: Path) -> None:
    given = {"type": "s3", "bucket": "lake"}
    asked = pipeline_spec(destinations=[{"type": "files"}, given | {"profile": "lander"}, given | INLINE])
    async with destinations_at(tmp_path) as maker:
        (problem,) = maker.refused_to_apis(asked)
    assert problem.path == ("destinations", 1, "profile")
    assert "`ambient_credentials: true`" in problem.message


def certificates(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine that only says so itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "conduit-local test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "ca.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private


async def test_a_servers_own_certificate_is_trusted_where_it_is_named(tmp_path: Path) -> None:
    certificate, private = certificates(tmp_path)
    server_folder = tmp_path / "server"
    server_folder.mkdir()
    with rclone_at(server_folder, "--cert", str(certificate), "--key", str(private)) as server:
        (server_folder / "buckets" / "lake").mkdir()
        settings = server.settings("lake") | {"endpoint_url": f"https://127.0.0.1:{server.port}"}
        async with landing(tmp_path, settings) as made:
            with pytest.raises(DestinationUnavailable, match=r"certificate is not valid: .*; name its CA in") as caught:
                await made.write(KEY, content(1, 10))
            assert caught.value.needs_person
        async with landing(tmp_path, settings | {"ca_file": str(tmp_path / "none.pem")}) as made:
            with pytest.raises(DestinationUnavailable, match=r"ca_file .* cannot be used: No such file"):
                await made.write(KEY, content(1, 10))
        async with landing(tmp_path, settings | {"ca_file": str(certificate)}) as made:
            await made.write(KEY, content(1, 10))
            found = await made.read(KEY)
            assert found is not None
            assert b"".join(found.pieces) == LINES
    assert (server_folder / "buckets" / "lake" / KEY).read_bytes() == LINES
