"""``longspan.register()`` points the Auto classes and the pipelines of transformers at longspan, and nothing else does.

It changes tables of the process, so everything here runs in processes of its own.
"""

import json
import shutil

import pytest
import transformers

import longspan
from tests._support import run_python
from tests.models.hub_models import FAMILIES, SMALL_BPE, make

HEADS = {
    "AutoModel": "Model",
    "AutoModelForMaskedLM": "ForMaskedLM",
    "AutoModelForPreTraining": "ForMaskedLM",
    "AutoModelForSequenceClassification": "ForSequenceClassification",
    "AutoModelForMultipleChoice": "ForMultipleChoice",
    "AutoModelForTokenClassification": "ForTokenClassification",
    "AutoModelForQuestionAnswering": "ForQuestionAnswering",
}

# What each Auto class returns for a directory or a configuration, by module and name, before and after register(). Then
# pipelines by directory. All in one process, since an import of transformers takes long.
LOOK = """
import json, sys, transformers
from transformers.models.auto import configuration_auto, modeling_auto, tokenization_auto
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
directories, heads = json.loads(sys.argv[1]), json.loads(sys.argv[2])

def name(x):
    return f"{type(x).__module__.partition('.')[0]}.{type(x).__name__}"

def look():
    found = {}
    for family, directory in directories.items():
        config = transformers.AutoConfig.from_pretrained(directory)
        found[f"{family} AutoConfig"] = name(config)
        found[f"{family} for_model"] = name(transformers.AutoConfig.for_model(family.lower()))
        for auto in heads:
            if type(config) not in getattr(transformers, auto)._model_mapping:
                continue  # transformers has no Nyströmformer for pretraining; we do
            found[f"{family} {auto}"] = name(getattr(transformers, auto).from_pretrained(directory))
            found[f"{family} {auto} config"] = name(getattr(transformers, auto).from_config(config))
    found["AutoTokenizer"] = name(transformers.AutoTokenizer.from_pretrained(directories["Longformer"]))
    found["another family"] = name(transformers.AutoModel.from_config(transformers.BertConfig(num_hidden_layers=1)))
    return found

def tables():
    mappings = [configuration_auto.CONFIG_MAPPING, modeling_auto.MODEL_MAPPING, tokenization_auto.TOKENIZER_MAPPING]
    mappings += [getattr(transformers, auto)._model_mapping for auto in heads]
    extra = [sorted(map(str, mapping._extra_content.items())) for mapping in mappings]
    names = sorted(map(str, tokenization_auto.TOKENIZER_MAPPING_NAMES.items()))
    return extra, names, sorted(tokenization_auto.MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS)

untouched = tables()
import longspan
for public in longspan.__all__:
    getattr(longspan, public)
found = {"imports change nothing": tables() == untouched, "before": look()}
longspan.register()
once = tables()
longspan.register()
found["again changes nothing"] = tables() == once
found["after"] = look()
fill = transformers.pipeline("fill-mask", model=directories["Longformer"])
tags = transformers.pipeline("token-classification", model=directories["Longformer"])
rows = fill("It is a <mask> day.", top_k=5)
found["pipelines"] = [name(fill.model), name(fill.tokenizer), name(tags.model), len(rows)]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What LOOK finds in checkpoints that transformers itself has saved."""
    directories = {}
    vocabulary = len(json.loads((SMALL_BPE / "vocab.json").read_text()))
    for family in FAMILIES:
        directory = tmp_path_factory.mktemp(family)
        make(family, lib=transformers, num_labels=2, vocab_size=vocabulary).save_pretrained(directory)
        directories[family] = str(directory)
    for file in ("vocab.json", "merges.txt"):
        shutil.copy(SMALL_BPE / file, directories["Longformer"])
    transformers.RobertaTokenizer.from_pretrained(directories["Longformer"]).save_pretrained(directories["Longformer"])
    return json.loads(run_python(LOOK, json.dumps(directories), json.dumps(HEADS)).splitlines()[-1])


def expected(library, tokenizer):
    names = {}
    for family in FAMILIES:
        names[f"{family} AutoConfig"] = names[f"{family} for_model"] = f"{library}.{family}Config"
        for auto, head in HEADS.items():
            if library == "longspan" or (family, auto) != ("Nystromformer", "AutoModelForPreTraining"):
                names[f"{family} {auto}"] = names[f"{family} {auto} config"] = f"{library}.{family}{head}"
    return {**names, "AutoTokenizer": tokenizer, "another family": "transformers.BertModel"}


def test_without_register_nothing_changes(found):
    assert found["imports change nothing"]
    assert found["before"] == expected("transformers", "transformers.RobertaTokenizer")


def test_after_register_the_auto_classes_return_ours(found):
    assert found["after"] == expected("longspan", "longspan.LongformerTokenizer")


def test_registering_again_changes_nothing(found):
    assert found["again changes nothing"]


def test_pipelines_by_directory(found):
    model, tokenizer = "longspan.LongformerForMaskedLM", "longspan.LongformerTokenizer"
    assert found["pipelines"] == [model, tokenizer, "longspan.LongformerForTokenClassification", 5]


def test_every_class_that_the_documentation_names_is_in_longspan():
    """The PyTorch classes of the Longformer and Nyströmformer pages of transformers."""
    outputs = ["Base", "BaseWithPooling", "MaskedLM", "QuestionAnswering", "SequenceClassifier", "MultipleChoice"]
    outputs.append("TokenClassifier")
    forms = {
        "Base": "BaseModelOutput",
        "BaseWithPooling": "BaseModelOutputWithPooling",
        "QuestionAnswering": "QuestionAnsweringModelOutput",
        "MultipleChoice": "MultipleChoiceModelOutput",
    }
    names = [f"Longformer{forms.get(x, x + 'Output')}" for x in outputs]
    names += ["LongformerTokenizer", "LongformerTokenizerFast"]
    for family in FAMILIES:
        names += [f"{family}{x}" for x in ("Config", "PreTrainedModel", *dict.fromkeys(HEADS.values()))]
    for name in names:
        found = getattr(longspan, name)
        assert name in longspan.__all__ and found.__module__.startswith("longspan."), name
        assert found.__name__ == name or name == "LongformerTokenizerFast"
        # the same fields, in the same order, as the class of that name in transformers
        theirs = getattr(transformers.models.longformer.modeling_longformer, name, None)
        if name.endswith(("Output", "WithPooling")):
            assert list(found.__dataclass_fields__) == list(theirs.__dataclass_fields__)
