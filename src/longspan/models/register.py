"""Points the Auto classes of transformers at longspan's."""

from __future__ import annotations

import transformers


def register() -> None:
    """Make ``AutoConfig``, ``AutoTokenizer`` and the ``AutoModel`` classes return longspan's classes.

    It changes the tables of ``transformers`` in this process only, and calling it again changes nothing. Pipelines
    find the models through the same tables.
    """
    from . import longformer, nystromformer
    from .auto_tokenizer import register_tokenizers

    for family, name in ((longformer, "Longformer"), (nystromformer, "Nystromformer")):
        config = getattr(family, f"{name}Config")
        transformers.AutoConfig.register(config.model_type, config, exist_ok=True)
        for auto, head in (
            (transformers.AutoModel, "Model"),
            (transformers.AutoModelForMaskedLM, "ForMaskedLM"),
            (transformers.AutoModelForPreTraining, "ForMaskedLM"),
            (transformers.AutoModelForSequenceClassification, "ForSequenceClassification"),
            (transformers.AutoModelForMultipleChoice, "ForMultipleChoice"),
            (transformers.AutoModelForTokenClassification, "ForTokenClassification"),
            (transformers.AutoModelForQuestionAnswering, "ForQuestionAnswering"),
        ):
            auto.register(config, getattr(family, f"{name}{head}"), exist_ok=True)
    transformers.AutoModelForCausalLM.register(
        longformer.LongformerConfig, longformer.LongformerForCausalLM, exist_ok=True
    )
    register_tokenizers()
