"""Training models on tasks: `train`, its `Arguments` and `Result`; and the recipe of the contract model."""

from longspan.train.arguments import Arguments
from longspan.train.engine import train
from longspan.train.result import Result

__all__ = ["Arguments", "Result", "train"]
