"""Makes `python -m gotunnel` the `gotunnel` command."""

from gotunnel.cli.main import main

if __name__ == "__main__":
    main(prog_name="gotunnel")
