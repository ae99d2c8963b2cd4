"""The settings, as each part below takes them."""

from pathlib import Path

from conduit_local.config.settings import Settings
from conduit_local.engine.engine import EngineSettings
from conduit_local.engine.retention import Kept
from conduit_local.http.server import ServerSettings
from conduit_local.store.store import StoreSettings


def store_settings(settings: Settings, database: Path) -> StoreSettings:
    """For `open_store`."""
    return StoreSettings(
        path=database,
        full_sync=settings.durability == "full",
        quota_bytes=settings.storage.quota,
        min_free_bytes=settings.storage.min_free,
        tag=settings.storage.tag,
    )


def engine_settings(settings: Settings) -> EngineSettings:
    """For `run_engine`."""
    kept = settings.retention
    return EngineSettings(
        keys_required=settings.auth == "required",
        kept=Kept(
            age_s=kept.age,
            size_bytes=kept.size,
            runs=kept.runs,
            objects=kept.objects,
            dead_age_s=kept.dead_age,
            dead_letters=kept.dead_letters,
        ),
        batches_in_memory=settings.delivery.batches_in_memory,
        webhook_timeout_s=settings.delivery.webhook_timeout,
        grace_s=settings.grace,
    )


def server_settings(settings: Settings) -> ServerSettings:
    """For `listen`."""
    return ServerSettings(
        host=settings.host,
        port=settings.port,
        max_connections=settings.connections.max,
        head_deadline_s=settings.connections.head_deadline,
        idle_s=settings.connections.idle,
        grace_s=settings.grace,
    )
