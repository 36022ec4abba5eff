"""Real PostgreSQL, Redis and S3 servers from PyPI: no root, no Docker, one folder."""

from demo.stack.errors import StackError
from demo.stack.stack import COMPONENTS, Addresses, Stack, Status

__all__ = ["COMPONENTS", "Addresses", "Stack", "StackError", "Status"]
