"""The first API key: of the environment, of the last start, or made now; for the CLI and the TUI."""

from collections.abc import Mapping
from pathlib import Path

from conduit_local.config.documents import FileProblem
from conduit_local.config.settings import InvalidSettings
from conduit_local.core.errors import Broken, Invalid
from conduit_local.core.keys import Scope
from conduit_local.engine.keys import Keys
from conduit_local.store.folder import DataFolder, write_private


async def keep_first_key(keys: Keys, folder: DataFolder, environment: Mapping[str, str]) -> None:
    """
    See to it that there is a key, and that it lies in the data folder with mode 0600.

    Raises: InvalidSettings for an unusable `CONDUIT_LOCAL_API_KEY`; Broken when the file cannot be written.
    """
    given = environment.get("CONDUIT_LOCAL_API_KEY")
    kept = _read_key(folder.api_key)
    if given:
        try:
            if not keys.is_live(given):
                await keys.create("environment", [Scope.ADMIN], given)
        except Invalid as error:
            source = "environment CONDUIT_LOCAL_API_KEY"
            problem = FileProblem(file=source, line=None, field="", message=error.message)
            raise InvalidSettings([problem]) from error
        secret = given
    elif kept is not None and keys.is_live(kept):
        return
    else:
        _, secret = await keys.create("first key", [Scope.ADMIN])
    if secret != kept:
        try:
            write_private(folder.api_key, f"{secret}\n".encode())
        except OSError as error:
            raise Broken(f"write {folder.api_key}: {error.strerror}") from error


def _read_key(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
