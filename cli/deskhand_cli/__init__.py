"""The command ``deskhand``: one file per command in ``commands``. Handlers parse, call one function, print."""
