"""What table and log have in common: lines that are drawn when they are visible."""

from rich.style import Style
from textual.scroll_view import ScrollView


class Lines(ScrollView, can_focus=True):
    """A view over lines; which ones, its children know."""

    _base: Style | None = None

    @property
    def base(self) -> Style:
        """Colours and weight of the widget. Computed once a paint: Textual asks all its ancestors, for every line."""
        if self._base is None:
            self._base = self.rich_style
        return self._base

    def notify_style_update(self) -> None:
        """Textual: the style is another one now."""
        self._base = None
        super().notify_style_update()

    def put_on_top(self, line: int, last: int) -> None:
        """Scroll so that this line is the first, as far as there are lines to fill the view: `last` at most."""
        self._base = None
        self.scroll_to(y=min(max(0, line), max(0, last)), animate=False, immediate=True, force=True)
