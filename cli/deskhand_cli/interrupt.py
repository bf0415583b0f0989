"""What Ctrl-C says and returns, from the first import on; nothing is imported here."""

EXIT_INTERRUPTED = 130
INTERRUPTED = "interrupted; nothing is lost, run the same command again to go on"


def is_interrupt(exc: BaseException | None) -> bool:
    """Tell whether Ctrl-C is behind an error: Python wraps it when it comes while an import makes a class."""
    return exc is not None and (isinstance(exc, KeyboardInterrupt) or is_interrupt(exc.__cause__))
