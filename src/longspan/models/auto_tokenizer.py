"""Makes ``AutoTokenizer`` return the tokenizers of this package for Longformer and Nyströmformer checkpoints."""

import sys

from transformers import AutoTokenizer
from transformers.models.auto import tokenization_auto as auto

from longspan.models.longformer import LongformerConfig
from longspan.models.longformer.tokenization import LongformerTokenizer
from longspan.models.nystromformer import NystromformerConfig
from longspan.models.nystromformer.tokenization import NystromformerTokenizer


def register_tokenizers() -> None:
    """Point ``AutoTokenizer`` at the tokenizers of this package; calling it again changes nothing.

    ``AutoTokenizer.register`` alone serves checkpoints whose files name no tokenizer class. For the others,
    ``transformers`` 5 asks its table of names first and trusts the files, so that a Longformer saved by it gets
    ``RobertaTokenizer``, and a Nyströmformer with only a spiece.model fails to load. Here both go to our classes,
    which hand a checkpoint that names the tokenizer of another family to that one.
    """
    for config, tokenizer in ((LongformerConfig, LongformerTokenizer), (NystromformerConfig, NystromformerTokenizer)):
        model_type = config.model_type
        AutoTokenizer.register(config, tokenizer_class=tokenizer, exist_ok=True)
        auto.TOKENIZER_MAPPING_NAMES[model_type] = tokenizer.__name__
        auto.MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS.add(model_type)
        # The table of names looks the class up in this module instead of in transformers.models.<model_type>.
        auto.TOKENIZER_MAPPING._modules[model_type] = sys.modules[tokenizer.__module__]
