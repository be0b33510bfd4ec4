"""The command line; thin, and quick to start."""


def main() -> None:
    """Run the command line."""
