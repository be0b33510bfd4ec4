"""`python -m pertura`: the command line."""

from pertura.cli import main

main()
