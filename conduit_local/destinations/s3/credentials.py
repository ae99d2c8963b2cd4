"""
Whose keys sign: those of the settings, else the environment's, else an AWS profile's.

The machine's metadata service is never asked: what it hands out is the machine's own right, which nobody gave to a
pipeline.
"""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from conduit_local.destinations.s3.spec import S3Spec

DEFAULT_REGION = "us-east-1"


class NoCredentials(Exception):
    """There are no keys: the message says where they were looked for."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What requests are signed with."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, and where: `keys` is None for nobody in particular."""

    keys: Keys | None
    region: str


def identity_of(spec: S3Spec, environment: Mapping[str, str]) -> Identity:
    """
    Who the settings say that we are. Reads files: for a thread; asked again for each attempt, so that new keys in a
    profile are found.

    Raises: NoCredentials.
    """
    if spec.anonymous:
        return Identity(None, spec.region or DEFAULT_REGION)
    if spec.access_key_id is not None:
        return Identity(_given(spec), spec.region or DEFAULT_REGION)
    profiles = _Profiles(spec.profile, environment)
    keys = profiles.keys() if spec.profile is not None else _from_environment(environment) or profiles.keys()
    if keys is None:
        raise NoCredentials(_nowhere(spec.profile, profiles))
    named = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    return Identity(keys, spec.region or named or profiles.region() or DEFAULT_REGION)


def _given(spec: S3Spec) -> Keys:
    secret = spec.secret_access_key.text if spec.secret_access_key is not None else None
    token = spec.session_token.text if spec.session_token is not None else None
    if not spec.access_key_id or not secret:
        raise NoCredentials("access_key_id or secret_access_key is empty")
    return Keys(spec.access_key_id, secret.strip(), (token or "").strip() or None)  # files end in a line feed


def _from_environment(environment: Mapping[str, str]) -> Keys | None:
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    token = environment.get("AWS_SESSION_TOKEN") or ""
    return Keys(key.strip(), secret.strip(), token.strip() or None) if key and secret else None


def _nowhere(profile: str | None, profiles: "_Profiles") -> str:
    where = f"profile {profiles.name!r} in {profiles.credentials} and {profiles.config}"
    if profiles.unusable is not None:
        return f"{where}: {profiles.unusable}; give it aws_access_key_id and aws_secret_access_key"
    if profile is not None:
        return f"no credentials: there is no {where}"
    return (
        f"no credentials: neither access_key_id in the destination, nor AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in "
        f"the environment, nor a {where}; a bucket that anybody may write to needs `anonymous: true`"
    )


class _Profiles:
    """An AWS profile, in the two files where it may stand."""

    def __init__(self, name: str | None, environment: Mapping[str, str]) -> None:
        self.name = name or environment.get("AWS_PROFILE") or "default"
        self.unusable: str | None = None
        home = Path(environment.get("HOME") or "~").expanduser()
        self.credentials = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws" / "credentials")
        self.config = Path(environment.get("AWS_CONFIG_FILE") or home / ".aws" / "config")
        self._found = self._read(self.config, "default" if self.name == "default" else f"profile {self.name}")
        self._found |= self._read(self.credentials, self.name)

    def keys(self) -> Keys | None:
        """The profile's keys, if it has some of its own."""
        key, secret = self._found.get("aws_access_key_id"), self._found.get("aws_secret_access_key")
        if key and secret:
            return Keys(key, secret, self._found.get("aws_session_token") or None)
        for other in ("role_arn", "credential_process", "sso_session", "sso_start_url", "web_identity_token_file"):
            if other in self._found:
                self.unusable = f"it says {other}, which is not followed here"
        return None

    def region(self) -> str | None:
        """The profile's region."""
        return self._found.get("region")

    def _read(self, path: Path, section: str) -> dict[str, str]:
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.unusable = f"{path} cannot be read: {error.strerror}"
            return {}
        except (configparser.Error, UnicodeDecodeError):  # their messages quote the line, which may hold a key
            self.unusable = f"{path} is no profile file"
            return {}
        return dict(parser[section]) if parser.has_section(section) else {}
