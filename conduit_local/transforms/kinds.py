"""The kinds of transforms."""

from conduit_local.core.spec import Component
from conduit_local.transforms.filter import FilterTransform
from conduit_local.transforms.mask import MaskTransform
from conduit_local.transforms.rename import RenameTransform
from conduit_local.transforms.select import SelectTransform
from conduit_local.transforms.sql import SqlTransform

TRANSFORMS: dict[str, type[Component]] = {
    "sql": SqlTransform,
    "filter": FilterTransform,
    "select": SelectTransform,
    "rename": RenameTransform,
    "mask": MaskTransform,
}
