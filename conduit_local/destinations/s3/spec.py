"""What people say about a bucket to land in."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from conduit_local.core.plain import is_visible
from conduit_local.core.secrets import Secret
from conduit_local.core.spec import Bytes, Duration
from conduit_local.destinations.objects import ObjectsSpec

MIB = 1024**2
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")
_TAG = re.compile(r"[\w\s+\-=.:/@]*")
_MAX_PREFIX = 512
_MAX_TAG_NAME, _MAX_TAG_VALUE, _MAX_TAGS = 128, 256, 10


def _bucket(name: str) -> str:
    if "/" in name or ":" in name:
        raise ValueError("must be the bucket's name alone; folders in it are its `prefix`, the server `endpoint_url`")
    if not _BUCKET.fullmatch(name) or ".." in name:
        raise ValueError("must be 3 to 255 letters, digits, `.`, `-` and `_`, as buckets are called")
    return name


def _prefix(prefix: str) -> str:
    if len(prefix) > _MAX_PREFIX or (prefix and not is_visible(prefix)):
        raise ValueError(f"must be at most {_MAX_PREFIX} visible characters")
    if any(part in {"", ".", ".."} for part in prefix.split("/")) and prefix:
        raise ValueError("must be folders like `raw/orders`: no `/` at its begin or end, no empty ones, no `..`")
    return prefix


def _endpoint(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        port_ok = parts.port != 0
    except ValueError:
        raise ValueError("is not a URL; write it like http://127.0.0.1:9000") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_ok:
        raise ValueError("must be http:// or https:// and a host, like http://127.0.0.1:9000")
    if "_" in parts.hostname:  # botocore would refuse it when it is used
        raise ValueError("must name a host without `_`: hosts' names have letters, digits, `-` and `.`")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("must hold neither a user nor a query; keys belong into access_key_id and secret_access_key")
    if not url.isascii() or not is_visible(url) or " " in url:
        raise ValueError("must be written in visible ASCII characters")
    return url.rstrip("/")


def _region(name: str | None) -> str | None:
    if name is not None and not _REGION.fullmatch(name):
        raise ValueError("must be a region's name, like eu-central-1; servers of your own mostly take any")
    return name


def _header(value: str | None) -> str | None:
    if value is not None and (not value.isascii() or not value.isprintable() or not 0 < len(value) <= 2_048):
        raise ValueError("must be printable ASCII characters")
    return value


def _tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    if len(tags) > _MAX_TAGS:
        raise ValueError(f"S3 takes at most {_MAX_TAGS} tags on an object")
    for name, value in tags.items():
        if not 0 < len(name) <= _MAX_TAG_NAME or len(value) > _MAX_TAG_VALUE:
            raise ValueError(f"a tag has 1 to {_MAX_TAG_NAME} characters, its value at most {_MAX_TAG_VALUE}")
        if not _TAG.fullmatch(name) or not _TAG.fullmatch(value):
            raise ValueError(f"the tag {name[:40]!r} may hold letters, digits, spaces and + - = . _ : / @ only")
    return tags


def _file(path: str | None) -> str | None:
    if path is not None and not Path(path).is_absolute():
        raise ValueError("must be an absolute path")
    return path


class S3Spec(ObjectsSpec):
    """Lands batches as objects in a bucket of Amazon S3, or of any server that speaks its protocol."""

    how_alone: ClassVar[frozenset[str]] = ObjectsSpec.how_alone | {
        "access_key_id",
        "profile",
        "anonymous",
        "region",
        "path_style",
        "ca_file",
        "part_size",
        "conditional_create",
    }

    type: Literal["s3"] = "s3"
    bucket: Annotated[str, AfterValidator(_bucket)]
    """It must be there; it is not made."""
    prefix: Annotated[str, AfterValidator(_prefix)] = ""
    """Folders in the bucket that everything lies below."""
    endpoint_url: Annotated[str | None, AfterValidator(_endpoint)] = None
    """The server, like `http://127.0.0.1:9000`; left out, Amazon's."""
    region: Annotated[str | None, AfterValidator(_region)] = None
    """Left out: the environment's or the profile's where the keys are from there, else us-east-1."""
    path_style: bool | None = None
    """
    `true`: the bucket in the path; `false`: in the host's name. Left out: in the path where there is an endpoint_url,
    or where the name has a dot in it.
    """
    access_key_id: Annotated[str | None, AfterValidator(_header)] = None
    """With `secret_access_key`; both left out: the environment (AWS_ACCESS_KEY_ID, …), then the AWS profile."""
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    """Of temporary keys."""
    profile: Annotated[str | None, Field(min_length=1, max_length=128)] = None
    """The profile in ~/.aws/credentials to take the keys from, and nowhere else."""
    anonymous: bool = False
    """Sign nothing: for what anybody may write."""
    ca_file: Annotated[str | None, AfterValidator(_file)] = None
    """Certificates (PEM) to trust instead of the system's; an absolute path."""
    server_side_encryption: Literal["none", "AES256", "aws:kms", "aws:kms:dsse"] = "none"
    """How the server encrypts the objects; `none` leaves it to the bucket."""
    kms_key_id: Annotated[str | None, AfterValidator(_header)] = None
    """Which key, for `aws:kms`; left out, the account's own."""
    tags: Annotated[Mapping[str, str], AfterValidator(_tags)] = {}
    """Put on each object; at most ten."""
    timeout: Annotated[Duration, Field(ge=0.1, le=600)] = 30.0
    """How long the server may take to be connected to, and for each 64 KiB that it takes or sends."""
    part_size: Annotated[Bytes, Field(ge=5 * MIB, le=512 * MIB)] = 16 * MIB
    """Larger objects go up in parts of this size, smaller ones in one request."""
    conditional_create: bool | None = None
    """
    Whether the server refuses to write over an object when it is told to (`If-None-Match: *`); `destinations test`
    says. Left out: true for Amazon, else each object is looked for before it is written: one request more.
    """

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            given, other = ("access_key_id", "secret_access_key")[:: 1 if self.access_key_id is not None else -1]
            raise ValueError(f"{given} needs {other} with it")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("session_token needs access_key_id and secret_access_key with it")
        ways = [self.access_key_id is not None, self.profile is not None, self.anonymous]
        if sum(ways) > 1:
            raise ValueError("give keys, or a profile, or `anonymous: true`: only one of them")
        if self.kms_key_id is not None and not self.server_side_encryption.startswith("aws:kms"):
            raise ValueError("kms_key_id needs `server_side_encryption: aws:kms` with it")
        if self.ca_file is not None and (self.endpoint_url or "https").startswith("http:"):
            raise ValueError("ca_file needs an endpoint_url with https: over http there are no certificates")
        if self.endpoint_url is None and self.path_style is False and "." in self.bucket:
            raise ValueError("a bucket with a dot in its name needs `path_style: true`: no certificate is good for it")
        return self

    @property
    def is_ambient(self) -> bool:
        """Whether its keys come from where the appliance runs, and not out of these settings."""
        return self.access_key_id is None and not self.anonymous


def refusals(spec: S3Spec, check_url: Callable[[str], None], *, ambient: bool) -> dict[str, str]:
    """
    By field, what a pipeline that is made through an API may not have: an endpoint that the guard refuses, and, unless
    `ambient`, keys and files of the machine that the appliance runs on, which are not the caller's.
    """
    refused: dict[str, str] = {}
    if spec.endpoint_url is not None:
        try:
            check_url(spec.endpoint_url)
        except ValueError as error:
            refused["endpoint_url"] = str(error)
    if not ambient:
        allow = "; or have `ambient_credentials: true` set in the settings"
        if spec.profile is not None:
            refused["profile"] = f"is the appliance's own: give access_key_id and secret_access_key{allow}"
        elif spec.is_ambient:
            refused["access_key_id"] = f"is needed, with secret_access_key: the appliance's own are not used{allow}"
        if spec.ca_file is not None:
            refused["ca_file"] = f"is a file of the appliance's machine{allow}"
    return refused
