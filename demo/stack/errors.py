"""The one error that the stack shows to a person."""


class StackError(Exception):
    """Something was wanted and could not be had; the message says what was seen and what to do."""
