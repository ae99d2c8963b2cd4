"""Durations and sizes for people: the same in logs, commands and on screen."""


def span_text(seconds: float | None) -> str:
    """A duration in its largest unit: `3s`, `41m`, `2h`, `5d`; `-` for none."""
    if seconds is None:
        return "-"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def size_text(size_bytes: float) -> str:
    """A size with one decimal: `412B`, `1.9MB`, `2.1GB`."""
    if size_bytes < 1_000:
        return f"{size_bytes:.0f}B"
    for unit in ("kB", "MB", "GB"):
        size_bytes /= 1_000
        if size_bytes < 999.95:
            return f"{size_bytes:.1f}{unit}"
    return f"{size_bytes / 1_000:.1f}TB"
