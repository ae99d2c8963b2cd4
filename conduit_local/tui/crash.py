"""What is said when the UI itself fails: where it was, and never the values of variables, which may be secret."""

from rich.segment import Segments
from rich.traceback import Traceback
from textual.app import App


class DiscreetApp(App[str]):
    """Textual prints the values of all variables: keys, and events of other people."""

    def _fatal_error(self) -> None:
        error = self._exception
        assert error is not None
        trace = Traceback.from_exception(type(error), error, error.__traceback__, show_locals=False)
        self._exit_renderables.append(Segments(self.console.render(trace, self.console.options)))
        self._close_messages_no_wait()
