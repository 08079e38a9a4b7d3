"""Long models made from the checkpoints of short ones."""

from .converting import Conversion, convert

__all__ = ["Conversion", "convert"]
