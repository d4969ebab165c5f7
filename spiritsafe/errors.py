"""The one error a user is meant to read: what is wrong and what to do about it."""


class UserError(Exception):
    """Printed as one message without a traceback; the command exits with status 2."""
