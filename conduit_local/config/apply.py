"""The difference between the pipeline files and the engine, applied while everything runs."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from conduit_local.config.documents import FileProblem
from conduit_local.config.files import PipelineFiles, read_pipelines
from conduit_local.config.settings import LoadedSettings
from conduit_local.core.errors import ConduitError, Unavailable
from conduit_local.core.spec import PipelineSpec
from conduit_local.core.times import rfc3339_ms
from conduit_local.engine.engine import Engine
from conduit_local.engine.journal import say
from conduit_local.engine.topology import LivePipeline


class Configuration:
    """
    What the files say, and what came of it.

    Every reload reads all files and validates each whole. A broken file changes nothing: its pipeline stays as it
    last was. What a file no longer says is deleted, with everything accepted still delivered.
    """

    def __init__(self, folder: Path, loaded: LoadedSettings, engine: Engine, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._loaded = loaded
        self._engine = engine
        self._environment = environment
        self._files = PipelineFiles()
        self._refused: list[FileProblem] = []
        self._settings_changed = False
        self._at_us = 0
        self._reloading = asyncio.Lock()
        self.postponed = False
        """Whether something could not be applied only because the store was unavailable."""

    def report(self) -> dict[str, Any]:
        """Each setting with its value and where it was set; the files, and what is wrong with them."""
        return {
            "folder": str(self._folder),
            "settings": self._loaded.report(),
            "restart_needed": self._settings_changed,
            "files": [{"file": file, "pipeline": spec.name} for file, spec in sorted(self._files.specs.items())],
            "problems": self.problems(),
            "read_at": rfc3339_ms(self._at_us) if self._at_us else None,
        }

    def problems(self) -> list[dict[str, Any]]:
        """What is wrong with the files now."""
        return [asdict(problem) for problem in (*self._files.problems, *self._refused)]

    def note_settings_changed(self) -> None:
        """The settings file changed; it is read at the next start."""
        if not self._settings_changed:
            self._settings_changed = True
            say(logging.WARNING, "the settings have changed; restart to use them")

    async def reload(self) -> dict[str, Any]:
        """Read the files, apply the difference; returns `{created, changed, deleted, problems}`."""
        async with self._reloading:
            files = await asyncio.to_thread(read_pipelines, self._folder, self._engine.spec_model, self._environment)
            self._files, self._refused, self.postponed = files, [], False
            self._at_us = self._engine.clock.now_us()
            done: dict[str, list[str]] = {"created": [], "changed": [], "deleted": []}
            here = {live.pipeline.managed_by: live for live in self._engine.topology.live()}
            kept: set[int] = set()
            for file, spec in files.specs.items():
                live = self._match(file, spec, here)
                number = await self._apply_one(file, spec, live, done)
                if number is not None:
                    kept.add(number)
            if files.readable:
                await self._delete_gone(kept, files.broken, done)
            for problem in (*files.problems, *self._refused):
                say(logging.ERROR, str(problem))
            return {**done, "problems": self.problems()}

    def _match(self, file: str, spec: PipelineSpec, here: Mapping[str | None, LivePipeline]) -> LivePipeline | None:
        """The pipeline that a file means: by id, by the file it came from, or by name where the file was renamed."""
        topology = self._engine.topology
        if spec.id is not None and (live := topology.get(spec.id)) is not None:
            return live
        if file in here and (spec.id is None or here[file].pipeline.id == spec.id):
            return here[file]
        live = topology.get(spec.name)
        return live if live is not None and live.pipeline.managed_by else None

    async def _apply_one(
        self, file: str, spec: PipelineSpec, live: LivePipeline | None, done: dict[str, list[str]]
    ) -> int | None:
        """Make or change one pipeline; returns the number of the one that the file stands for."""
        manage = self._engine.manage
        try:
            if live is None:
                pipeline = await manage.create(spec, managed_by=file)
                done["created"].append(spec.name)
                return pipeline.number
            if live.pipeline.managed_by is None:
                self._refuse(
                    file, f"the pipeline {live.pipeline.name!r} was made through an API; delete it there first"
                )
                return None
            before = live.pipeline
            if await manage.change(before.id, lambda _old: spec, managed_by=file) != before:
                done["changed"].append(spec.name)
        except ConduitError as error:
            self._refuse(file, error.message)
            self.postponed |= isinstance(error, Unavailable)
        return live.number if live is not None else None

    async def _delete_gone(self, kept: set[int], broken: frozenset[str], done: dict[str, list[str]]) -> None:
        for live in self._engine.topology.live():
            file = live.pipeline.managed_by
            if file is None or file in broken or live.number in kept:
                continue
            try:
                await self._engine.manage.delete(live.pipeline.id, managed_by=file)
                done["deleted"].append(live.pipeline.name)
            except ConduitError as error:
                self._refuse(file, error.message)
                self.postponed |= isinstance(error, Unavailable)

    def _refuse(self, file: str, message: str) -> None:
        self._refused.append(FileProblem(file=file, line=None, field="", message=message))
