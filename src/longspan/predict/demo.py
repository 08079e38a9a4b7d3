"""The contract that ships with the package."""

from pathlib import Path

from longspan.predict.reading import read_text

CONTRACT = Path(__file__).parents[1] / "pretrained" / "contracts" / "demo_contract.txt"


def contract() -> tuple[str, str]:
    """Return a name for the contract, and its text.

    Raises:
        OSError: this installation has no contract.
    """
    return "demo_contract.txt", read_text(CONTRACT)
