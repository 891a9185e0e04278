"""`python -m runner` is `trey`."""

from runner.cli import main

main(prog_name="trey")
