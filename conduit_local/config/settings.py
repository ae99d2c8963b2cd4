"""
The appliance's settings: `conduit-local.yaml`, then the environment, then flags. They need a restart.

Each value knows where it was set.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from conduit_local.config.documents import Document, DocumentError, FileProblem, read_document
from conduit_local.core.ids import ALPHABET, TAG_WIDTH
from conduit_local.core.problems import Problem, problems_of
from conduit_local.core.spec import Bytes, Duration, Part
from conduit_local.destinations.kinds import DestinationStandIn
from conduit_local.sources.kinds import StandIn
from conduit_local.transforms.settings import TransformSettings

FILE_NAME = "conduit-local.yaml"
_MIB, _GIB = 1024**2, 1024**3


def _tag(value: str) -> str:
    if len(value) != TAG_WIDTH or not set(value) <= set(ALPHABET):
        raise ValueError(f"must be {TAG_WIDTH} characters of {ALPHABET}")
    return value


def _absolute(value: str) -> str:
    if not Path(value).is_absolute():
        raise ValueError("must be an absolute path")
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError("must be a network like 10.0.0.0/8 or fd00::/8, or one address") from None


class StorageSettings(Part):
    """What the store may take."""

    quota: Annotated[Bytes, Field(ge=_MIB)] = 10 * _GIB
    """Past this, events are refused with 503 until there is room again."""
    min_free: Annotated[Bytes, Field(ge=0)] = 16 * _MIB
    """Kept free on the disk, so that deliveries can still be noted when it is nearly full."""
    tag: Annotated[str, AfterValidator(_tag)] | None = None
    """The store's tag in event ids, for a store that is made now; drawn when left out."""


class RetentionSettings(Part):
    """What is kept of what is delivered, per pipeline. What is not delivered is always kept."""

    age: Annotated[Duration, Field(ge=0)] = 7 * 86_400.0
    size: Annotated[Bytes, Field(ge=0)] = _GIB
    """Bytes of event lines, before the store compresses them."""
    runs: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    objects: Annotated[int, Field(ge=1, le=10_000_000)] = 20_000
    """Delivered objects that are known, of each destination: what `verify` compares with what is there."""
    dead_age: Annotated[Duration, Field(ge=60)] = 30 * 86_400.0
    """Dead letters that nobody replayed or discarded until then are dropped, and count as purged."""
    dead_letters: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    """Over all pipelines; the oldest go first."""


class RateSettings(Part):
    """The rate limit over all callers."""

    requests: Annotated[int, Field(ge=1)] = 1_000_000
    per_s: Annotated[float, Field(gt=0, le=86_400)] = 60.0


class ConnectionSettings(Part):
    """How connections are treated."""

    max: Annotated[int, Field(ge=16, le=60_000)] = 4_096
    head_deadline: Annotated[Duration, Field(ge=0.1, le=600)] = 10.0
    body_deadline: Annotated[Duration, Field(ge=0.1, le=3_600)] = 30.0
    idle: Annotated[Duration, Field(ge=1, le=3_600)] = 75.0


class DeliverySettings(Part):
    """How routes share the machine."""

    threads: Annotated[int, Field(ge=1, le=64)] = 4
    batches_in_memory: Annotated[int, Field(ge=1, le=256)] = 8
    webhook_timeout: Annotated[Duration, Field(ge=0.1, le=60)] = 15.0
    """How long the receiver of a webhook may take to answer."""


class StandIns(Part):
    """What takes the place of connectors that cannot be reached from here, by their name."""

    sources: Mapping[str, StandIn] = {}
    destinations: Mapping[str, DestinationStandIn] = {}


class LogSettings(Part):
    """The appliance's log: on standard error, or in a file."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"
    file: str | None = None
    """A file, relative to the data folder, instead of standard error; rotated at 10 MiB, three are kept."""


class Settings(Part):
    """The appliance's settings."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8642
    """0: any that is free."""
    data_dir: str | None = None
    """The data folder; relative to the configuration folder."""
    auth: Literal["required", "off"] = "required"
    """`off` only where the appliance listens on loopback."""
    testing: bool = False
    """Offers `/_local/test/`: a clock that can be set."""
    durability: Literal["full", "relaxed"] = "full"
    """`full`: a 2xx is on disk. `relaxed`: a power cut may lose what was acknowledged since the last checkpoint."""
    allowed_hosts: tuple[str, ...] = ()
    """Names, besides this machine's, that may stand in `Host`; `*` for any."""
    allowed_folders: tuple[Annotated[str, AfterValidator(_absolute)], ...] = ()
    """Folders that pipelines made through an API may write to, besides the data folder."""
    allowed_networks: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    """Private networks that webhooks may be sent to, like 10.0.0.0/8; loopback only while itself on loopback."""
    ambient_credentials: bool = False
    """
    Whether pipelines made through an API may use the keys of the appliance's environment, AWS profiles, and CA files.
    """
    trusted_proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    """Networks whose `X-Forwarded-For` is believed."""
    stand_ins: StandIns = StandIns()
    storage: StorageSettings = StorageSettings()
    retention: RetentionSettings = RetentionSettings()
    rate_limit: RateSettings = RateSettings()
    connections: ConnectionSettings = ConnectionSettings()
    delivery: DeliverySettings = DeliverySettings()
    transforms: TransformSettings = TransformSettings()
    log: LogSettings = LogSettings()
    grace: Annotated[Duration, Field(ge=0, le=600)] = 10.0
    """How long work in hand may take when the appliance stops."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A value from outside the file: a flag or an environment variable."""

    field: str
    value: Any
    source: str
    """`flag --port`, `environment CONDUIT_LOCAL_PORT`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedSettings:
    """The settings, and where each that is not a default was set."""

    settings: Settings
    sources: Mapping[str, str]

    def report(self) -> list[dict[str, Any]]:
        """Each setting: name, value, and where it was set."""
        rows: list[dict[str, Any]] = []
        for name, value in _leaves(self.settings.model_dump(mode="json")):
            rows.append({"name": name, "value": value, "source": self.sources.get(name, "default")})
        return rows


class InvalidSettings(Exception):
    """The settings cannot be used; `problems` says why, one line each."""

    def __init__(self, problems: list[FileProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def load_settings(folder: Path, given: list[Given], environment: Mapping[str, str]) -> LoadedSettings:
    """The settings of the configuration folder `folder`. Raises: InvalidSettings."""
    path = folder / FILE_NAME
    document = Document(file=FILE_NAME, value={}, lines={})
    if path.exists():
        try:
            document = read_document(path, FILE_NAME, environment)
        except DocumentError as error:
            raise InvalidSettings([error.problem]) from error
    value = document.value if document.value is not None else {}
    sources = {}
    if isinstance(value, dict):
        for name, _ in _leaves(value):
            line = document.lines.get(tuple(name.split(".")))
            sources[name] = f"{FILE_NAME}:{line}"
        for one in given:
            *outer, last = one.field.split(".")
            target = value
            for step in outer:
                target = target.setdefault(step, {})
            target[last] = one.value
            sources[one.field] = one.source
    try:
        settings = Settings.model_validate(value)
    except ValidationError as error:
        problems = [_placed(problem, document, given) for problem in problems_of(error, Settings)]
        raise InvalidSettings(problems) from None
    if settings.auth == "off" and not is_loopback(settings.host):
        problem = Problem(path=("auth",), message=f"keys can be off on loopback only, not on {settings.host}")
        raise InvalidSettings([_placed(problem, document, given)])
    return LoadedSettings(settings=settings, sources=sources)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an appliance that listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _placed(problem: Problem, document: Document, given: list[Given]) -> FileProblem:
    for one in given:
        if one.field == problem.field:
            return FileProblem(file=one.source, line=None, field="", message=problem.message)
    return document.problem(problem)


def _leaves(value: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            found += _leaves(inner, f"{before}{name}.")
        else:
            found.append((f"{before}{name}", inner))
    return found
