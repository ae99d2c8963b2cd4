"""`${NAME}` in a configuration, replaced by what a run is given; never by what the environment holds."""

import re
from collections.abc import Mapping

_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class VariableMissing(ValueError):
    """Nobody gave the variable `name`."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the variable {name} is not given")
        self.name = name


def with_variables(text: str, variables: Mapping[str, str]) -> str:
    """`text` with each `${NAME}` replaced; what is put in is not looked at again. Raises: VariableMissing."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in variables:
            raise VariableMissing(found[1])
        return variables[found[1]]

    return _NAME.sub(value, text)
