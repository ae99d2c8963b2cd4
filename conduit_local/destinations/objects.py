"""What destinations that keep objects have in common: how these are called, and what is in them."""

from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from conduit_local.core.batch import Partition
from conduit_local.core.encoding import Record
from conduit_local.core.spec import DestinationSpec
from conduit_local.formats.compression import Compression
from conduit_local.formats.objects import Format, ObjectForm


def _partition_pattern(pattern: str) -> str:
    Partition(pattern)
    return pattern


class ObjectsSpec(DestinationSpec):
    """Lands batches as objects."""

    format: Format = "jsonl"
    """
    `jsonl`, `csv` or `parquet`. Parquet has the types of a transform's columns, else text and the time of receipt.
    """
    compression: Compression = "none"
    """Of `jsonl` and `csv`; Parquet compresses what is in it, with zstd."""
    record: Record = "envelope"
    """
    `envelope` (event_id, pipeline_id, event_type, received_at, payload) or the `payload` alone; a transform's rows with
    other columns land as they are.
    """
    partition: Annotated[str, AfterValidator(_partition_pattern)] = ""
    """Folders by time of receipt in UTC, like `dt=%Y-%m-%d/hour=%H`; a batch closes where it changes."""

    @model_validator(mode="after")
    def _require_one_compression(self) -> Self:
        if self.format == "parquet" and self.compression != "none":
            raise ValueError(f"format parquet compresses with zstd by itself: leave out compression {self.compression}")
        return self

    @property
    def form(self) -> ObjectForm:
        """How rows become an object."""
        return ObjectForm(format=self.format, compression=self.compression, record=self.record)
