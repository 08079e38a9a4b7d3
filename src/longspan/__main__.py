"""``python -m longspan``: the command line, also for launchers that start a module in several processes."""

from longspan.cli.main import main

if __name__ == "__main__":
    main()
