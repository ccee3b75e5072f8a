"""Why the server does not start, or does not go on."""


class StartError(Exception):
    """The server cannot start or go on; the message says why, and what to do."""
