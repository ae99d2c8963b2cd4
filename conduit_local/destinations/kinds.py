"""The kinds of destinations, and how one is made."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from conduit_local.core.ports import Destination
from conduit_local.core.problems import Problem
from conduit_local.core.spec import DestinationSpec, PipelineSpec
from conduit_local.destinations.files import FilesDestination, FilesSpec

DESTINATIONS: dict[str, type[DestinationSpec]] = {"files": FilesSpec}


class DestinationMaker:
    """Makes destinations, and knows what an API may ask for (`DestinationFactory` for the engine)."""

    def __init__(self, data_folder: Path, allowed_folders: tuple[Path, ...], threads: ThreadPoolExecutor) -> None:
        self._data_folder = data_folder
        self._allowed_folders = allowed_folders
        self._threads = threads

    def make(self, spec: DestinationSpec) -> Destination:
        """The destination that `spec` describes."""
        match spec:
            case FilesSpec():
                return FilesDestination(spec, self._data_folder, self._threads)
            case _:
                raise AssertionError(f"no destination of type {spec.type!r}")

    def parse(self, text: str) -> DestinationSpec:
        """A destination's settings out of the JSON that the catalog keeps."""
        for model in DESTINATIONS.values():
            if f'"type":"{model.model_fields["type"].default}"' in text:
                return model.model_validate_json(text)
        raise AssertionError(f"no destination of the type in {text!r}")

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

    def _may_use(self, path: Path) -> bool:
        return not path.is_absolute() or any(path.is_relative_to(folder) for folder in self._allowed_folders)
