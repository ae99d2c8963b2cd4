"""
A file that is read once, from its beginning to its end: a stand-in for a connector that cannot be had here.

A relative path is looked for below the data folder, then among the samples that come with this package.
"""

import asyncio
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files as packaged
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from conduit_local.core.plain import plain
from conduit_local.core.ports import Clock
from conduit_local.core.pulling import Pulled, SourceFailed
from conduit_local.formats.pieces import Corrupt, Place, Skip
from conduit_local.sources.events import Look, PulledSpec
from conduit_local.sources.files import READERS, Format, format_of, type_by_name
from conduit_local.sources.inbox import Inbox, check_pattern
from conduit_local.sources.reading import SourceFile, open_as, packing_of

SAMPLES = "sample_data"


def _one_file(path: str) -> str:
    if set("*?[") & set(check_pattern(path)):
        raise ValueError("must name one file")
    return path


class FixtureSpec(PulledSpec):
    """One file, read once: JSON lines, a JSON document or CSV; also packed."""

    type: Literal["fixture"] = "fixture"
    path: Annotated[str, AfterValidator(_one_file)]
    """Relative to the data folder or to the packaged samples, or absolute."""
    format: Format = "auto"

    @property
    def cursor_name(self) -> str:
        """What its cursor is kept under."""
        return f"fixture:{self.path}"


class FixtureSource:
    """`Source` of one file."""

    def __init__(self, spec: FixtureSpec, data_folder: Path, threads: ThreadPoolExecutor, clock: Clock) -> None:
        self._spec = spec
        self._data_folder = data_folder
        self._threads = threads
        self._clock = clock

    async def pull(self, cursor: str | None, most: int) -> Pulled:
        """`Source.pull`: in a thread. The cursor says how many records were read; it starts over where that is None."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._pull, cursor, most)

    async def wait(self) -> None:
        """`Source.wait`: nothing more comes."""
        await self._clock.wait(None, None)

    async def close(self) -> None:
        """`Source.close`: nothing is held."""

    def _pull(self, cursor: str | None, most: int) -> Pulled:
        found: dict[str, Any] = json.loads(cursor or '{"records":0,"place":[0,0,0],"end":false}')
        offset, number, skip = found["place"]
        place, records = Place(offset, number, Skip(skip)), int(found["records"])
        look = Look(self._spec, most)
        if found["end"]:
            return Pulled(events=None, cursor=cursor or "")
        path = self._spec.path
        shown, otherwise = plain(path), type_by_name(path)
        file = self._open()
        more = False
        try:
            for piece in READERS[format_of(path, self._spec.format)](file, place, lambda: True):
                place = piece.end
                if piece.content is not None:
                    look.take(piece.content, f"{shown}{piece.where}", otherwise, piece.error)
                    records += 1
                if look.full:
                    more = True
                    break
        except Corrupt as error:
            look.take(b"", shown, otherwise, str(error))
        except OSError as error:
            raise SourceFailed(f"read {shown}: {error.strerror}") from error
        finally:
            file.close()
        state = {"records": records, "place": list(place), "end": not more}
        return Pulled(events=look.events, cursor=json.dumps(state), poison=look.poison, more=more)

    def _open(self) -> SourceFile:
        path = self._spec.path
        package = Path(str(packaged("conduit_local")))
        roots = [
            self._data_folder,
            *(() if Path(path).is_absolute() else (package / SAMPLES, package.parent / SAMPLES)),
        ]
        for root in roots:
            try:
                file = open_as(Inbox(path, root).open(path), packing_of(path))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise SourceFailed(f"read {plain(path)}: {error.strerror}", needs_person=True) from error
            if stat.S_ISREG(os.fstat(file.fd).st_mode):
                return file
            file.close()
        said = f"there is no file {plain(path)}, neither in the data folder nor among the samples"
        raise SourceFailed(said, needs_person=True)
