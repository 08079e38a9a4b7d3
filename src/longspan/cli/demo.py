"""`longspan demo`: read the contract that ships with the package."""


def demo() -> None:
    """."""
