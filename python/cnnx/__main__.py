"""`python -m cnnx` is the command `cnnx`."""

from cnnx.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
