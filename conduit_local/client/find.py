"""Which appliance: by URL and key, or by its data folder."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conduit_local.client.errors import Unreachable

DEFAULT_URL = "http://127.0.0.1:8642"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """An appliance's URL, and the key to use there."""

    url: str
    key: str | None


def default_data_folder() -> Path:
    """Where an appliance keeps its data when nobody says otherwise."""
    import platformdirs

    return platformdirs.user_data_path("conduit-local", appauthor=False)


def find_appliance(url: str | None, key: str | None, data_folder: Path | None, environment: Mapping[str, str]) -> Place:
    """
    The appliance to talk to.

    URL: given, or that of the process that serves the given data folder; else `CONDUIT_URL`, that of the usual data
    folder, the default. Key: given, `CONDUIT_TOKEN`, that of the data folder.
    Raises: Unreachable when nobody serves the given data folder.
    """
    folder = data_folder or Path(environment.get("CONDUIT_LOCAL_DATA_DIR") or default_data_folder())
    found = url or (environment.get("CONDUIT_URL") if data_folder is None else None) or _announced(folder)
    if found is None and data_folder is not None:  # what listens on the default port is somebody else's
        raise Unreachable(f"no appliance serves the data folder {folder}; start one, or name its URL with --url")
    return Place(
        url=found or DEFAULT_URL,
        key=key or environment.get("CONDUIT_TOKEN") or _kept_key(folder),
    )


def is_running(folder: Path) -> bool:
    """Whether an appliance serves this data folder now."""
    return _announced(folder) is not None


def _announced(folder: Path) -> str | None:
    try:
        said = json.loads((folder / "appliance.json").read_bytes())
        os.kill(int(said["pid"]), 0)
        return str(said["url"])
    except PermissionError:  # the process is there, and another user's
        return str(said["url"])
    except (OSError, OverflowError, ValueError, KeyError, TypeError):
        return None


def _kept_key(folder: Path) -> str | None:
    try:
        return (folder / "api-key").read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None
