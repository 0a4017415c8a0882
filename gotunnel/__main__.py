"""Lets `python -m gotunnel` be the `gotunnel` command."""

from gotunnel.cli.main import main

if __name__ == "__main__":
    main(prog_name="gotunnel")
