"""Servers that crash runs land in."""

from tests.destinations.s3_servers import moto, swift

__all__ = ["moto", "swift"]
