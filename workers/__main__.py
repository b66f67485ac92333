"""`python -m workers` is the `tidewatch` command."""

from workers.cli import main

if __name__ == "__main__":
    main()
