"""The kinds of destinations, and how one is made."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from conduit_local.core.connectors import no_connector
from conduit_local.core.delivering import Destination
from conduit_local.core.problems import Problem
from conduit_local.core.secrets import locked_in
from conduit_local.core.spec import Component, DestinationSpec, PipelineSpec
from conduit_local.destinations.absent import AbsentDestination, ConnectorSpec
from conduit_local.destinations.conduit import ConduitDestination
from conduit_local.destinations.conduit_spec import ConduitSpec
from conduit_local.destinations.files import FilesDestination, FilesSpec
from conduit_local.destinations.http import HttpDestination
from conduit_local.destinations.http_spec import HttpSpec
from conduit_local.destinations.means import Means
from conduit_local.destinations.s3.spec import S3Spec, refusals
from conduit_local.destinations.tables.duckdb import DuckdbDestination, DuckdbSpec
from conduit_local.destinations.tables.postgres import PostgresDestination, PostgresSpec
from conduit_local.destinations.tables.postgres import refusals as postgres_refusals


def _s3(spec: S3Spec, means: Means, _origin: str) -> Destination:
    from conduit_local.destinations.s3.destination import S3Destination

    return S3Destination(spec, means)


DESTINATIONS: dict[str, type[DestinationSpec]] = {
    "files": FilesSpec,
    "s3": S3Spec,
    "http": HttpSpec,
    "conduit": ConduitSpec,
    "duckdb": DuckdbSpec,
    "postgres": PostgresSpec,
    "connector": ConnectorSpec,
}

DestinationStandIn = Annotated[
    FilesSpec | S3Spec | HttpSpec | ConduitSpec | DuckdbSpec | PostgresSpec, Field(discriminator="type")
]
"""What the settings may put in the place of a connector."""

MAKERS: dict[str, Callable[[Any, Means, str], Destination]] = {
    "files": lambda spec, means, _origin: FilesDestination(spec, means.data_folder, means.threads, means.encoder),
    "s3": _s3,
    "http": lambda spec, means, origin: HttpDestination(spec, means.sender, means.threads, origin),
    "conduit": lambda spec, means, origin: ConduitDestination(spec, means.sender, means.threads, origin),
    "duckdb": lambda spec, means, origin: DuckdbDestination(spec, means.data_folder, origin),
    "postgres": lambda spec, means, origin: PostgresDestination(spec, means.data_folder, means.addresses, origin),
}
"""By type: the settings, what it is made with, and its origin (`Destinations.make`)."""


class DestinationMaker:
    """Makes destinations, and knows what an API may ask for (`Destinations` for the engine)."""

    def __init__(
        self,
        means: Means,
        allowed_folders: tuple[Path, ...] = (),
        stand_ins: Mapping[str, DestinationSpec] | None = None,
        source_stand_ins: Mapping[str, Component] | None = None,
        keys_at: str = "secrets.key",
        *,
        ambient_credentials: bool = False,
    ) -> None:
        """
        `stand_ins` are by the connector's name; `keys_at` says where the keys of secrets are looked for. With
        `ambient_credentials` what an API makes may use the keys and files of the machine that the appliance runs on.
        """
        self._means = means
        self._allowed_folders = allowed_folders
        self._stand_ins = stand_ins or {}
        self._source_stand_ins = source_stand_ins or {}
        self._keys_at = keys_at
        self._ambient_credentials = ambient_credentials

    def make(self, spec: DestinationSpec, origin: str = "") -> Destination:
        """`Destinations.make`."""
        reason = self._absence(spec)
        if reason is not None:
            return AbsentDestination(reason)
        meant = self._stand_ins[spec.connector] if isinstance(spec, ConnectorSpec) else spec
        return MAKERS[meant.type](meant, self._means, origin)

    def missing(self, spec: PipelineSpec) -> str | None:
        """`Destinations.missing`."""
        for source in spec.sources:
            name = getattr(source, "connector", None)
            if isinstance(name, str) and name not in self._source_stand_ins:
                return no_connector(name, "sources", "{type: push}")
        reasons = [self._absence(one) for one in spec.destinations]
        return next((reason for reason in reasons if reason is not None), None)

    def refused_to_apis(self, spec: PipelineSpec) -> list[Problem]:
        """What a configuration file may have, but a pipeline that is made through an API may not."""
        problems: list[Problem] = []
        for place, destination in enumerate(spec.destinations):
            refused: dict[str, str] = {}
            if isinstance(destination, FilesSpec | DuckdbSpec) and not self._may_use(Path(destination.path)):
                refused["path"] = (
                    f"{destination.path} is outside the data folder; "
                    "name its folder under `allowed_folders` in the settings, or use a relative path"
                )
            if isinstance(destination, S3Spec):
                refused = refusals(destination, self._means.check_url, ambient=self._ambient_credentials)
            if isinstance(destination, PostgresSpec):
                refused = postgres_refusals(destination, self._means.check_url, ambient=self._ambient_credentials)
            if isinstance(destination, HttpSpec | ConduitSpec):
                refused = self._unreachable(destination.url)
            problems += [Problem(path=("destinations", place, name), message=said) for name, said in refused.items()]
        return problems

    def _unreachable(self, url: str) -> dict[str, str]:
        """Why this `url` may not be called, as far as that shows without asking the network; empty where it may."""
        try:
            self._means.check_url(url)
        except ValueError as error:
            return {"url": str(error)}
        return {}

    def _absence(self, spec: DestinationSpec) -> str | None:
        """Why this destination is not to be had here, or None."""
        if isinstance(spec, ConnectorSpec):
            if spec.connector in self._stand_ins:
                return None
            return no_connector(spec.connector, "destinations", "{type: files, path: out}")
        if locked_in(spec):
            return (
                f"the secrets of {spec.name!r} are sealed with a key that is not in {self._keys_at}: "
                "put it back and restart, or give the destination its secrets anew"
            )
        return None

    def _may_use(self, path: Path) -> bool:
        return not path.is_absolute() or any(path.is_relative_to(folder) for folder in self._allowed_folders)
