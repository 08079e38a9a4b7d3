"""Small models of both families learn a few questions over windows, and answer them from raw outputs."""

from copy import deepcopy

import pytest
import torch

from longspan import (
    LongformerConfig,
    LongformerForQuestionAnswering,
    LongformerForTokenClassification,
    NystromformerConfig,
    NystromformerForQuestionAnswering,
    NystromformerForTokenClassification,
)
from longspan.predict.loop import run
from longspan.tasks.answer import Answer
from longspan.tasks.examples import ChoiceExample, QuestionExample, Source
from longspan.tasks.task import Encoding
from longspan.tasks.wikihop import WikiHop
from tests.tasks.small_tokenizers import SENTENCES, byte_level

SOURCE = Source("made", 1)
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 256,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
MODELS = {
    ("longformer", "answer"): LongformerForQuestionAnswering,
    ("longformer", "wikihop"): LongformerForTokenClassification,
    ("nystromformer", "answer"): NystromformerForQuestionAnswering,
    ("nystromformer", "wikihop"): NystromformerForTokenClassification,
}


def make_model(family, task, tokenizer):
    torch.manual_seed(0)
    fields = {**SIZES, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, **task.settings()}
    if family == "longformer":
        config = LongformerConfig(**fields, attention_window=16, sep_token_id=tokenizer.sep_token_id)
    else:
        config = NystromformerConfig(**fields, num_landmarks=8, segment_means_seq_len=16, attention_type="nystrom")
    return MODELS[family, task.name](config)


def learn(model, task, rows, encoding, steps):
    """Train until the loss is small."""
    batch = task.collate(rows, encoding)
    inputs = {name: value for name, value in batch.items() if name not in task.targets}
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        loss = task.loss(model(**inputs), batch)
        if loss < 0.02:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1


def answer_all(model, task, examples, encoding):
    features = [task.encode(example, encoding, training=False) for example in examples]
    outputs = run(task, model, features, encoding, batch_tokens=300)
    return [task.decode(*x) for x in zip(examples, features, outputs, strict=True)]


def question(key, text, answer, order):
    context = "  ".join(SENTENCES[i] for i in order)
    answers = () if answer is None else ((answer, context.index(answer)),)
    return QuestionExample(key, SOURCE, text, context, answers, answer is not None)


@pytest.mark.parametrize("family", ["longformer", "nystromformer"])
def test_questions_are_learnt(family):
    tokenizer, task = byte_level(), Answer(empty_windows=9)
    examples = [
        question("1", "What shall be paid?", "a royalty", (0, 1, 2)),
        question("2", "How must notice be given?", "in writing", (3, 2, 1)),
        question("3", "How must notice be given?", "in writing", (2, 0, 3)),
        question("4", "What shall be paid?", None, (2, 3, 1)),
    ]
    task.learn(examples)
    encoding = Encoding(tokenizer, 56, 8, family)
    rows = [row for example in examples for row in task.encode(example, encoding, training=True)]
    assert len(rows) > 2 * len(examples)
    model = make_model(family, task, tokenizer)
    learn(model, task, rows, encoding, 200)
    predictions = answer_all(model, task, examples, encoding)
    assert [p["answer"] for p in predictions] == ["a royalty", "in writing", "in writing", ""]
    for example, prediction in zip(examples, predictions, strict=True):
        if prediction["answer"]:
            assert example.context[prediction["start"] : prediction["end"]] == prediction["answer"]
    scores = task.score(examples, predictions)
    assert scores["exact"] == scores["f1"] == scores["best_f1"] == 100.0


@pytest.mark.parametrize("family", ["longformer", "nystromformer"])
def test_candidates_are_learnt(family):
    tokenizer, task = deepcopy(byte_level()), WikiHop()
    tokenizer.add_tokens(list(task.special_tokens), special_tokens=True)
    candidates = ("royalty", "notice", "losses")
    examples = [
        ChoiceExample("1", SOURCE, "duty licensee", candidates, 0, tuple(SENTENCES[:3])),
        ChoiceExample("2", SOURCE, "required form", candidates, 1, tuple(SENTENCES[2:])),
        ChoiceExample("3", SOURCE, "excluded liability", candidates[::-1], 0, tuple(SENTENCES[1:3])),
    ]
    encoding = Encoding(tokenizer, 64, 0, family)
    rows = [row for example in examples for row in task.encode(example, encoding, training=True)]
    assert max(len(row["parts"]) for row in rows) > 1
    model = make_model(family, task, tokenizer)
    learn(model, task, rows, encoding, 200)
    assert task.score(examples, answer_all(model, task, examples, encoding)) == {"accuracy": 1.0}
