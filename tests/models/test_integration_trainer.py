"""``transformers.Trainer``: accumulated gradients, evaluation, checkpoints, and every head's loss."""

import functools

import pytest
import torch
import transformers

from tests.models.hub_models import FAMILIES, distance, make, make_tokenizer

datasets = pytest.importorskip("datasets")
pytest.importorskip("accelerate")

pytestmark = pytest.mark.parametrize("family", FAMILIES)
# of very different lengths, so that the targets of one batch of two are many more than those of another
TEXTS = [
    "This Agreement is made between the parties on the first day of May, and ends when one of them says so. " * 2,
    "Governing law",
    "Neither party may assign this agreement without the consent of the other party.",
    "No",
    "The term is five years and renews for one year at a time unless a party gives notice of sixty days.",
    "Parties",
    "Audit",
    "The licensor grants a licence to use the software.",
]
HEADS = ("ForSequenceClassification", "ForTokenClassification")


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(model_max_length=64)


@functools.cache
def make_data(head, tokenizer):
    """A data set of the eight texts, with labels for the head."""
    rows = datasets.Dataset.from_dict({"text": TEXTS, "row": list(range(len(TEXTS)))})

    def encode(batch):
        encoded = tokenizer(batch["text"], truncation=True)
        labels = [row % 3 for row in batch["row"]]
        if head == "ForTokenClassification":
            labels = [
                [-100, *((x + label) % 3 for x in ids[1:-1]), -100]
                for ids, label in zip(encoded["input_ids"], labels, strict=True)
            ]
        if head == "ForQuestionAnswering":
            return {**encoded, "start_positions": [1] * len(labels), "end_positions": [2] * len(labels)}
        if head == "ForMaskedLM":
            return dict(encoded)
        return {**encoded, "labels": labels}

    return rows.map(encode, batched=True, remove_columns=["text", "row"])


def make_trainer(family, head, tokenizer, folder, model=None, **arguments):
    model = model or make(family, head, vocab_size=len(tokenizer))
    collators = {
        "ForTokenClassification": transformers.DataCollatorForTokenClassification,
        "ForMaskedLM": transformers.DataCollatorForLanguageModeling,
    }
    data = make_data(head, tokenizer)
    settings = {
        "per_device_train_batch_size": 2,
        "max_steps": 2,
        "learning_rate": 0.1,
        "optim": "sgd",
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
        "report_to": [],
    }
    return transformers.Trainer(
        model=model,
        args=transformers.TrainingArguments(output_dir=str(folder), **{**settings, **arguments}),
        data_collator=collators.get(head, transformers.DataCollatorWithPadding)(tokenizer),
        train_dataset=data,
        eval_dataset=data,
        processing_class=tokenizer,
    )


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).clone()


@pytest.mark.parametrize("head", HEADS)
def test_accumulated_steps_equal_one_large_batch(family, head, tokenizer, tmp_path):
    ends = []
    for size, steps in ((8, 1), (2, 4)):
        trainer = make_trainer(
            family, head, tokenizer, tmp_path, per_device_train_batch_size=size, gradient_accumulation_steps=steps
        )
        begin = weights(trainer.model)
        result = trainer.train()
        ends.append((weights(trainer.model), result.training_loss))
    assert distance(begin, ends[0][0]) > 1e-2
    assert distance(ends[1][0], ends[0][0]) < 1e-5
    assert ends[1][1] == pytest.approx(ends[0][1], abs=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_evaluation_and_prediction(family, head, tokenizer, tmp_path):
    trainer = make_trainer(family, head, tokenizer, tmp_path, per_device_eval_batch_size=8)
    trainer.compute_metrics = lambda x: {
        "rows": len(x.label_ids),
        "finite": bool((x.predictions == x.predictions).all()),
    }
    found = trainer.evaluate()
    batch = trainer.data_collator([trainer.eval_dataset[i] for i in range(8)])
    with torch.no_grad():
        expected = trainer.model(**batch)
    assert found["eval_loss"] == pytest.approx(float(expected.loss), abs=1e-5)
    assert found["eval_rows"] == 8 and found["eval_finite"]
    small = make_trainer(family, head, tokenizer, tmp_path, per_device_eval_batch_size=3, model=trainer.model)
    logits = torch.from_numpy(small.predict(small.eval_dataset).predictions)
    mask = batch["attention_mask"].bool() if head == "ForTokenClassification" else slice(None)
    assert distance(logits[mask], expected.logits[mask]) < 1e-5


def test_prediction_of_a_model_that_returns_everything(family, tokenizer, tmp_path):
    everything = {"output_attentions": True, "output_hidden_states": True}
    model = make(family, "ForTokenClassification", vocab_size=len(tokenizer), **everything)
    trainer = make_trainer(
        family, "ForTokenClassification", tokenizer, tmp_path, model=model, per_device_eval_batch_size=3
    )
    logits, states = trainer.predict(trainer.eval_dataset).predictions
    assert logits.shape[0] == 8 and len(states) == 3 and states[0].shape == (*logits.shape[:2], 32)


def test_a_checkpoint_resumes_where_it_was(family, tokenizer, tmp_path):
    settings = {
        "max_steps": 4,
        "save_strategy": "steps",
        "save_steps": 2,
        "optim": "adamw_torch",
        "learning_rate": 0.01,
    }
    straight = make_trainer(family, "ForTokenClassification", tokenizer, tmp_path, **settings)
    straight.train()
    resumed = make_trainer(
        family,
        "ForTokenClassification",
        tokenizer,
        tmp_path,
        model=make(family, "ForTokenClassification", seed=1, vocab_size=len(tokenizer)),
        **settings,
    )
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert resumed.state.global_step == 4
    assert distance(weights(resumed.model), weights(straight.model)) < 1e-6
    again = type(straight.model).from_pretrained(tmp_path / "checkpoint-4")
    assert torch.equal(weights(again), weights(straight.model))


@pytest.mark.parametrize("head", ["ForMaskedLM", "ForQuestionAnswering"])
def test_the_other_heads_learn(family, head, tokenizer, tmp_path):
    trainer = make_trainer(
        family, head, tokenizer, tmp_path, max_steps=8, gradient_accumulation_steps=2, learning_rate=0.05
    )
    transformers.set_seed(0)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    transformers.set_seed(0)
    assert trainer.evaluate()["eval_loss"] < before


def test_checkpointing_and_half_precision(family, tokenizer, tmp_path):
    ends = []
    for settings in ({}, {"gradient_checkpointing": True}, {"bf16": True}):
        trainer = make_trainer(family, "ForTokenClassification", tokenizer, tmp_path, **settings)
        trainer.train()
        ends.append(weights(trainer.model))
    assert distance(ends[0], ends[1]) < 1e-6
    assert ends[2].dtype == torch.float32 and 0 < distance(ends[0], ends[2]) < 0.05
