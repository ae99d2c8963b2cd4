"""
The filter language: words that must be there, `!word` that must not, `field:value` of a field, `field:>5` of a number.

Words of several terms must all hold. Case does not matter.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """One condition."""

    negated: bool
    field: str | None
    text: str


class Query:
    """A filter, made once and asked of many rows."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.terms = [_term(word) for word in self.text.lower().split()]

    def __bool__(self) -> bool:
        return bool(self.terms)

    def holds(self, fields: Mapping[str, Any]) -> bool:
        """Whether a row with these fields passes."""
        return all(_holds(term, fields) != term.negated for term in self.terms)

    def value(self, field: str) -> str | None:
        """What the query wants of `field`, where it wants something."""
        return next((term.text for term in self.terms if term.field == field and not term.negated), None)

    def words(self) -> str:
        """The terms that are of no field, as one text."""
        return " ".join(term.text for term in self.terms if term.field is None and not term.negated)


def _term(word: str) -> Term:
    negated = word.startswith("!") and len(word) > 1
    word = word[1:] if negated else word
    field, colon, text = word.partition(":")
    if colon and field.isidentifier() and text:
        return Term(negated=negated, field=field, text=text)
    return Term(negated=negated, field=None, text=word)


def _holds(term: Term, fields: Mapping[str, Any]) -> bool:
    if term.field is None:
        return any(term.text in str(value).lower() for value in fields.values() if value is not None)
    value = fields.get(term.field)
    compare = _COMPARE.get(term.text[0])
    if compare is not None:
        try:
            return value is not None and compare(float(value), float(term.text[1:]))
        except ValueError:
            return False
    return value is not None and term.text in str(value).lower()


_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": lambda one, other: one > other,
    "<": lambda one, other: one < other,
    "=": lambda one, other: one == other,
}
