"""The kinds of sources, and how one is made."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from conduit_local.core.connectors import no_connector
from conduit_local.core.fetching import Fetcher
from conduit_local.core.ports import Clock
from conduit_local.core.problems import Problem
from conduit_local.core.pulling import Source
from conduit_local.core.secrets import locked_in
from conduit_local.core.spec import Component, PipelineSpec
from conduit_local.core.variables import VariableMissing, with_variables
from conduit_local.engine.plugins import NONE, Plugins
from conduit_local.sources.absent import AbsentSource, ConnectorSource, PushSource
from conduit_local.sources.files import FilesSource, FilesSpec
from conduit_local.sources.fixture import FixtureSource, FixtureSpec
from conduit_local.sources.http import HttpSource
from conduit_local.sources.http_spec import HttpSpec

PLUGINS = "conduit_local.sources"
"""The group of entry points that name further kinds."""

SOURCES: dict[str, type[Component]] = {
    "push": PushSource,
    "connector": ConnectorSource,
    "files": FilesSpec,
    "http": HttpSpec,
    "fixture": FixtureSpec,
}

StandIn = Annotated[PushSource | FilesSpec | HttpSpec | FixtureSpec, Field(discriminator="type")]
"""What the settings may put in the place of a connector."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What a source may work with; given to those that plugins make, too."""

    data_folder: Path
    threads: ThreadPoolExecutor
    """For what would block: reading files, parsing much."""
    clock: Clock
    fetcher: Fetcher
    variables: Mapping[str, str]
    """What `${NAME}` stands for."""


class SourceMaker:
    """Makes sources, and knows what an API may ask for (`Sources` for the engine)."""

    def __init__(
        self,
        data_folder: Path,
        allowed_folders: tuple[Path, ...],
        threads: ThreadPoolExecutor,
        clock: Clock,
        fetcher: Fetcher,
        *,
        check_url: Callable[[str], None],
        stand_ins: Mapping[str, Component] | None = None,
        plugins: Plugins = NONE,
        keys_at: str = "secrets.key",
    ) -> None:
        """
        `check_url` raises ValueError for what the guard refuses as it is written; `stand_ins` are by the connector's
        name; `keys_at` says where the keys of secrets are looked for.
        """
        self._data_folder = data_folder
        self._allowed_folders = allowed_folders
        self._threads = threads
        self._clock = clock
        self._fetcher = fetcher
        self._check_url = check_url
        self._stand_ins = stand_ins or {}
        self._plugins = plugins
        self._keys_at = keys_at

    def make(self, spec: Component, variables: Mapping[str, str] | None = None) -> Source:
        """`Sources.make`."""
        if isinstance(spec, ConnectorSource):
            if spec.connector not in self._stand_ins:
                return self._absent(no_connector(spec.connector, "sources", "{type: push}"))
            return self.make(self._stand_ins[spec.connector], variables)
        if locked_in(spec):
            return self._absent(
                f"the secrets of this source are sealed with a key that is not in {self._keys_at}: "
                "put it back and restart, or give the source its secrets anew"
            )
        try:
            return self._made(spec, dict(variables or {}))
        except VariableMissing as error:
            return self._absent(f"{error}; a run may be given it, or the pipeline a value under `variables`")
        except ValueError as error:
            return self._absent(str(error))

    def pulled(self, spec: PipelineSpec) -> dict[str, Component]:
        """`Sources.pulled`: a name follows from what is read, so that a cursor outlives a change of other settings."""
        found: dict[str, Component] = {}
        for source in spec.sources:
            stand_in = self._stand_ins.get(source.connector) if isinstance(source, ConnectorSource) else source
            if isinstance(stand_in, PushSource):
                continue
            base = name = str(getattr(source, "cursor_name", source.type))
            count = 1
            while name in found:
                count += 1
                name = f"{base} #{count}"
            found[name] = source
        return found

    def refused(self, spec: PipelineSpec) -> list[Problem]:
        """What a configuration file may have, but a pipeline that is made through an API may not."""
        problems: list[Problem] = []
        for place, source in enumerate(spec.sources):
            match source:
                case FilesSpec() | FixtureSpec() if not self._may_read(Path(source.path)):
                    said = (
                        f"{source.path} is outside the data folder; "
                        "name its folder under `allowed_folders` in the settings, or use a relative path"
                    )
                    problems.append(Problem(path=("sources", place, "path"), message=said))
        return problems

    def unreachable(self, spec: PipelineSpec, variables: Mapping[str, str] | None = None) -> list[Problem]:
        """
        URLs that may not be fetched, as far as that shows without asking the network. One that holds a variable
        nobody gave yet is looked at when it is fetched.
        """
        problems: list[Problem] = []
        for place, source in enumerate(spec.sources):
            if isinstance(source, HttpSpec):
                try:
                    self._check_url(with_variables(source.url, variables or {}))
                except VariableMissing:
                    continue
                except ValueError as error:
                    problems.append(Problem(path=("sources", place, "url"), message=str(error)))
        return problems

    def _made(self, spec: Component, variables: Mapping[str, str]) -> Source:
        match spec:
            case FilesSpec():
                return FilesSource(spec, self._data_folder, self._threads, self._clock)
            case FixtureSpec():
                return FixtureSource(spec, self._data_folder, self._threads, self._clock)
            case HttpSpec():
                return HttpSource(spec, self._fetcher, self._threads, self._clock, variables)
            case _ if spec.type in self._plugins.makers:
                return self._foreign(spec, variables)
            case _:
                raise AssertionError(f"no source of type {spec.type!r}")

    def _foreign(self, spec: Component, variables: Mapping[str, str]) -> Source:
        try:
            made: Source = self._plugins.makers[spec.type](spec, self._means(variables))
        except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises concerns its own source only
            return self._absent(f"the plugin {spec.type!r} makes no source: {type(error).__name__}: {error}")
        return made

    def _means(self, variables: Mapping[str, str]) -> Means:
        return Means(
            data_folder=self._data_folder,
            threads=self._threads,
            clock=self._clock,
            fetcher=self._fetcher,
            variables=variables,
        )

    def _absent(self, reason: str) -> Source:
        return AbsentSource(reason, self._clock)

    def _may_read(self, path: Path) -> bool:
        return not path.is_absolute() or any(path.is_relative_to(folder) for folder in self._allowed_folders)
