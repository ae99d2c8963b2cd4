"""A configuration as it is kept: JSON, whole, defaults written out, secrets sealed for the pipeline that owns them."""

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Protocol

from conduit_local.core.errors import TransformUnavailable
from conduit_local.core.kinds import parse_spec
from conduit_local.core.secrets import SEALED, Secret, opening, sealing
from conduit_local.core.spec import DestinationSpec, PipelineSpec
from conduit_local.core.transforming import Recipe


class Vault(Protocol):
    """Seals secrets for what is kept on disk."""

    def seal(self, text: str, owner: str) -> str:
        """`text`, sealed for `owner`. Raises: StoreUnavailable when the key cannot be kept."""
        ...

    def unseal(self, sealed: str, owner: str) -> str | None:
        """What `seal` was given; None when its key is not here, or it was sealed for another owner."""
        ...


class Texts:
    """Writes and reads what the catalog keeps of configurations. `owner` is the pipeline's UUID."""

    def __init__(
        self, model: type[PipelineSpec], destinations: Mapping[str, type[DestinationSpec]], vault: Vault
    ) -> None:
        self._model = model
        self._destinations = destinations
        self._vault = vault

    def of_spec(self, spec: PipelineSpec, owner: str) -> str:
        """A pipeline's configuration."""
        return spec.model_dump_json(serialize_as_any=True, context=sealing(partial(self._seal, owner)))

    def spec(self, text: str, owner: str) -> PipelineSpec:
        """The configuration in `text`."""
        return parse_spec(json.loads(text), self._model, opening(partial(self._unseal, owner)))

    def of_destination(self, spec: DestinationSpec, owner: str) -> str:
        """A destination's settings."""
        return spec.model_dump_json(context=sealing(partial(self._seal, owner)))

    def destination(self, text: str, owner: str) -> DestinationSpec:
        """The settings in `text`."""
        document = json.loads(text)
        model = self._destinations[document["type"]]
        return model.model_validate(document, context=opening(partial(self._unseal, owner)))

    def of_secret(self, secret: Secret, owner: str) -> str:
        """A secret on its own."""
        return secret.sealed or "" if secret.text is None else self._vault.seal(secret.text, owner)

    def secret(self, text: str, owner: str) -> Secret:
        """The secret in `text`."""
        opened = self._vault.unseal(text, owner)
        return Secret(None, text) if opened is None else Secret(opened)

    def of_recipe(self, recipe: Recipe, owner: str, *, private: bool) -> str:
        """A recipe; sealed where it is `private`, because a run's variables are in it. Empty for none."""
        if not recipe:
            return ""
        text = json.dumps(recipe)
        return self._vault.seal(text, owner) if private else text

    def recipe(self, text: str, owner: str) -> Recipe:
        """The recipe in `text`. Raises: TransformUnavailable when it is sealed, and its key is not here."""
        opened = self._vault.unseal(text, owner) if text.startswith(SEALED) else text
        if opened is None:
            raise TransformUnavailable(
                "read the transforms of a batch again: they are sealed with a key that is not here", needs_person=True
            )
        return tuple(json.loads(opened)) if opened else ()

    def of_variables(self, variables: Mapping[str, str], owner: str) -> dict[str, str]:
        """A run's variables, each value sealed."""
        return {name: self._vault.seal(value, owner) for name, value in variables.items()}

    def variables(self, sealed: Mapping[str, str], owner: str) -> dict[str, str]:
        """What `of_variables` was given. Raises: TransformUnavailable when their key is not here."""
        opened = {name: self._vault.unseal(value, owner) for name, value in sealed.items()}
        if None in opened.values():
            raise TransformUnavailable(
                "read the variables of a run: they are sealed with a key that is not here", needs_person=True
            )
        return {name: value for name, value in opened.items() if value is not None}

    def resealed(self, text: str, owner: str) -> str:
        """A text of any of these kinds with every secret that can be opened sealed anew, under the newest key."""
        if text.startswith(SEALED):
            return self._resealed_one(text, owner)
        return _JSON_TEXT.sub(lambda found: json.dumps(self._resealed_one(json.loads(found[0]), owner)), text)

    def _resealed_one(self, sealed: str, owner: str) -> str:
        opened = self._vault.unseal(sealed, owner)
        return sealed if opened is None else self._vault.seal(opened, owner)

    def _seal(self, owner: str, text: str) -> str:
        return self._vault.seal(text, owner)

    def _unseal(self, owner: str, sealed: str) -> str | None:
        return self._vault.unseal(sealed, owner)


_JSON_TEXT = re.compile(rf'"{re.escape(SEALED)}[^"\\\\]*"')
