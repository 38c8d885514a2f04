"""`python -m throughline` is the `throughline` command."""

from throughline.cli.main import app

if __name__ == "__main__":
    app(prog_name="throughline")
