"""The command line's entry point. The application is imported inside, so that Ctrl-C then is one line too."""

from __future__ import annotations

import sys

from deskhand_cli.interrupt import EXIT_INTERRUPTED, INTERRUPTED, is_interrupt


def main() -> None:
    """Run the command line."""
    try:
        from deskhand_cli.app import run_app

        run_app()
    except (KeyboardInterrupt, Exception) as exc:
        if not is_interrupt(exc):
            raise
        sys.stderr.write(f"{INTERRUPTED}\n")
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
