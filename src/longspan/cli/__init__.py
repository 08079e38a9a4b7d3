"""The command line: it reads arguments, calls longspan.predict and prints."""
