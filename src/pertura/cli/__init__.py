"""The command line: thin, quick to start, and honest in its exit codes."""

from pertura.cli.app import main

__all__ = ["main"]
