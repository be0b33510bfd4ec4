"""Ctrl-C and a polite kill, as something that no library takes for an ordinary error."""


class Interrupted(BaseException):
    """The user, or the system, asked to stop; the message says how to go on."""
