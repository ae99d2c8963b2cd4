"""Servers that tests of destinations share."""

from tests.destinations.postgres_server import postgres
from tests.destinations.s3_servers import moto, rclone, swift

__all__ = ["moto", "postgres", "rclone", "swift"]
