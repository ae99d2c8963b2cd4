"""Servers that the README's destinations land in."""

from tests.destinations.postgres_server import postgres
from tests.destinations.s3_servers import moto

__all__ = ["moto", "postgres"]
