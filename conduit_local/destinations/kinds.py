"""The kinds of destinations, and how one is made."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from conduit_local.core.connectors import no_connector
from conduit_local.core.delivering import Destination
from conduit_local.core.problems import Problem
from conduit_local.core.secrets import locked_in
from conduit_local.core.spec import Component, DestinationSpec, PipelineSpec
from conduit_local.destinations.absent import AbsentDestination, ConnectorSpec
from conduit_local.destinations.files import FilesDestination, FilesSpec
from conduit_local.destinations.means import Means

DESTINATIONS: dict[str, type[DestinationSpec]] = {"files": FilesSpec, "connector": ConnectorSpec}

_MAKERS: dict[str, Callable[[Any, Means, str], Destination]] = {
    "files": lambda spec, means, _origin: FilesDestination(spec, means.data_folder, means.threads),
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
    ) -> None:
        """`stand_ins` are by the connector's name; `keys_at` says where the keys of secrets are looked for."""
        self._tools = means
        self._allowed_folders = allowed_folders
        self._stand_ins = stand_ins or {}
        self._source_stand_ins = source_stand_ins or {}
        self._keys_at = keys_at

    def make(self, spec: DestinationSpec, origin: str = "") -> Destination:
        """`Destinations.make`."""
        reason = self._absence(spec)
        if reason is not None:
            return AbsentDestination(reason)
        meant = self._stand_ins[spec.connector] if isinstance(spec, ConnectorSpec) else spec
        return _MAKERS[meant.type](meant, self._tools, origin)

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
        return [
            Problem(
                path=("destinations", place, "path"),
                message=f"{destination.path} is outside the data folder; "
                "name its folder under `allowed_folders` in the settings, or use a relative path",
            )
            for place, destination in enumerate(spec.destinations)
            if isinstance(destination, FilesSpec) and not self._may_use(Path(destination.path))
        ]

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
