"""What people's SQL, and the writing of Parquet, may take."""

from typing import Annotated

from pydantic import Field

from conduit_local.core.spec import Bytes, Duration, Part

_MIB = 1024**2


class TransformSettings(Part):
    """What transforms, and the writing of Parquet, may take of the machine."""

    time_limit: Annotated[Duration, Field(ge=0.1, le=3_600)] = 10.0
    """
    How long a pipeline's transforms may compute for one batch; one that takes longer is tried with fewer events. On a
    busy machine, where they hardly get to compute, it may last six times as long. The same for an object of Parquet.
    """
    memory: Annotated[Bytes, Field(ge=64 * _MIB, le=64 * 1024 * _MIB)] = 256 * _MIB
    """
    Memory for a batch, in each process that runs SQL or writes Parquet; what does not fit is spilled to disk where that
    can be. A batch of Parquet that needs more lands as several objects.
    """
    max_output: Annotated[Bytes, Field(ge=_MIB, le=64 * 1024 * _MIB)] = 512 * _MIB
    """
    Bytes of the JSON lines that a batch becomes, and, apart from these, of what is spilled to disk meanwhile; and of an
    object of Parquet.
    """
    children: Annotated[int, Field(ge=1, le=16)] = 1
    """
    Processes in each of three lanes: for pipelines that are proven, new, or overstepped their limits lately; and as
    many for Parquet.
    """
