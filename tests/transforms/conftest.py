"""Transforms and encoders that end with their test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conduit_local.transforms.encoding import ParquetEncoder
from conduit_local.transforms.running import SqlTransforms, open_transforms
from conduit_local.transforms.settings import TransformSettings
from tests.transforms.encoders import encoder_in
from tests.transforms.making import children


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """The folder that the transforms have."""
    return tmp_path / "scratch"


@pytest.fixture
async def transforms(scratch: Path) -> AsyncIterator[SqlTransforms]:
    """With the usual settings; afterwards no file and no process is left."""
    before = children()
    async with open_transforms(TransformSettings(), scratch=scratch) as running:
        yield running
    assert children() <= before
    assert list(scratch.iterdir()) == []


@pytest.fixture
def encoding(tmp_path: Path) -> Path:
    """The folder that the encoder has."""
    return tmp_path / "encoding"


@pytest.fixture
async def encoder(encoding: Path) -> AsyncIterator[ParquetEncoder]:
    """With the usual settings; afterwards no file and no process of it is left."""
    async with encoder_in(encoding) as running:
        yield running
