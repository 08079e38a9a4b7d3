"""The shape of the package: its public names, what importing it costs, and who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import longspan

SOURCE = Path(longspan.__file__).parent
ROOT = Path(__file__).parents[1]

PUBLIC = {
    "__version__",
    "register",
    "convert",
    "speed_up",
    "undo_speed_up",
    "sliding_window_attention",
    "nystrom_attention",
    "GlobalProjections",
    "LongformerConfig",
    "LongformerTokenizer",
    "LongformerTokenizerFast",
    "LongformerPreTrainedModel",
    "LongformerModel",
    "LongformerForMaskedLM",
    "LongformerForCausalLM",
    "LongformerForSequenceClassification",
    "LongformerForMultipleChoice",
    "LongformerForTokenClassification",
    "LongformerForQuestionAnswering",
    "LongformerBaseModelOutput",
    "LongformerBaseModelOutputWithPooling",
    "LongformerMaskedLMOutput",
    "LongformerSequenceClassifierOutput",
    "LongformerMultipleChoiceModelOutput",
    "LongformerTokenClassifierOutput",
    "LongformerQuestionAnsweringModelOutput",
    "NystromformerConfig",
    "NystromformerPreTrainedModel",
    "NystromformerModel",
    "NystromformerForMaskedLM",
    "NystromformerForSequenceClassification",
    "NystromformerForMultipleChoice",
    "NystromformerForTokenClassification",
    "NystromformerForQuestionAnswering",
}
TENSORFLOW = {
    "TFLongformerPreTrainedModel",
    "TFLongformerModel",
    "TFLongformerForMaskedLM",
    "TFLongformerForSequenceClassification",
    "TFLongformerForMultipleChoice",
    "TFLongformerForTokenClassification",
    "TFLongformerForQuestionAnswering",
    "TFLongformerBaseModelOutput",
    "TFLongformerBaseModelOutputWithPooling",
    "TFLongformerMaskedLMOutput",
    "TFLongformerSequenceClassifierOutput",
    "TFLongformerMultipleChoiceModelOutput",
    "TFLongformerTokenClassifierOutput",
    "TFLongformerQuestionAnsweringModelOutput",
    "TFNystromformerPreTrainedModel",
    "TFNystromformerModel",
    "TFNystromformerForMaskedLM",
    "TFNystromformerForSequenceClassification",
    "TFNystromformerForMultipleChoice",
    "TFNystromformerForTokenClassification",
    "TFNystromformerForQuestionAnswering",
}

# What a part may import besides itself. `predict` applies a checkpoint to documents, for which it needs a model and
# the task's passages; that keeps the command line at argument reading. `atomic` is a file, not a folder: how all that
# write files do it.
ARROWS = {
    "atomic": set(),
    "ops": set(),
    "models": {"atomic", "ops"},
    "keras": {"atomic"},
    "tasks": set(),
    "predict": {"atomic", "tasks", "models", "ops"},
    "train": {"atomic", "predict", "tasks", "models", "ops"},
    "lra": {"atomic", "train", "predict", "tasks", "models", "ops"},
    "charlm": {"atomic", "train", "predict", "tasks", "models", "ops"},
    "cli": {"atomic", "charlm", "lra", "predict", "train", "tasks", "models", "ops"},
}
MEASURED_AGAINST = {"longformer", "led", "nystromformer", "big_bird"}


def imports_of(file: Path) -> list[str]:
    """Every module that a file imports, anywhere in it, as absolute dotted names (`from a import b` gives a.b)."""
    package = ["longspan", *file.relative_to(SOURCE).parts[:-1]]
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, node.module] if node.module else base
            names += [".".join([*base, alias.name]) for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # A module name handed to importlib.
            names += [node.value] if node.value.startswith(("longspan.", "transformers.models.")) else []
    return names


def source_files() -> list[Path]:
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 10
    return files


def part_of(file: Path) -> str:
    """The folder that a file lies in, or its own name; none for what makes up the package's public face."""
    part = file.relative_to(SOURCE).parts[0].removesuffix(".py")
    return "" if part.startswith("__") else part


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_public_names_are_these():
    assert set(longspan.__all__) == PUBLIC
    assert set(dir(longspan)) >= PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_name_loads_under_its_name(name):
    value = getattr(longspan, name)
    # transformers 5 has one class for both tokenizer names, and so have we.
    assert getattr(value, "__name__", name) == name.replace("TokenizerFast", "Tokenizer")


def test_importing_the_package_loads_neither_torch_nor_transformers():
    code = (
        "import sys, longspan; "
        "print(longspan.__version__, sorted({'torch', 'transformers', 'numpy', 'tokenizers'} & set(sys.modules)))"
    )
    assert run_python(code) == f"{longspan.__version__} []"


def test_importing_the_operations_does_not_load_transformers():
    code = "import sys, longspan; longspan.sliding_window_attention; print('transformers' in sys.modules)"
    assert run_python(code) == "False"


def test_importing_changes_nothing_in_auto_classes():
    code = (
        "import longspan; longspan.LongformerModel; from transformers import AutoModel, LongformerConfig; "
        "print(AutoModel._model_mapping[LongformerConfig].__module__)"
    )
    assert run_python(code) == "transformers.models.longformer.modeling_longformer"


def test_a_tensorflow_name_says_which_extra_brings_it_where_keras_is_missing():
    code = (
        "import importlib.util; find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'keras' else find(name, *rest)\n"
        "import longspan\n"
        "for name in longspan._TENSORFLOW:\n"
        "    try: getattr(longspan, name)\n"
        "    except ImportError as error: assert 'longspan[tf]' in str(error), error\n"
        "    else: raise AssertionError(name)\n"
        "print(sorted(longspan._TENSORFLOW))"
    )
    assert run_python(code) == str(sorted(TENSORFLOW))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="LongformerForPoetry"):
        longspan.LongformerForPoetry  # noqa: B018
    assert not hasattr(longspan, "TFLongformerTokenizer")


def test_imports_point_downwards():
    wrong = []
    for file in source_files():
        part = part_of(file)
        for name in imports_of(file):
            target = name.split(".")
            if target[0] != "longspan" or len(target) < 2 or target[1] not in ARROWS:
                continue
            if part and target[1] != part and target[1] not in ARROWS[part]:
                wrong.append(f"{file.relative_to(SOURCE)} imports {name}")
    assert not wrong


def test_every_part_has_its_arrows():
    assert {part_of(file) for file in source_files()} - {""} == set(ARROWS)


def test_keras_classes_import_neither_torch_nor_transformers():
    wrong = [
        f"{file.relative_to(SOURCE)} imports {name}"
        for file in source_files()
        if part_of(file) == "keras"
        for name in imports_of(file)
        if name.split(".")[0] in {"torch", "transformers"}
    ]
    assert not wrong


def test_operations_import_torch_only():
    allowed = {"torch", "longspan"} | set(sys.stdlib_module_names)
    wrong = [
        f"{file.relative_to(SOURCE)} imports {name}"
        for file in source_files()
        if part_of(file) == "ops"
        for name in imports_of(file)
        if name.split(".")[0] not in allowed
    ]
    assert not wrong


def test_no_peer_is_imported():
    wrong = [
        f"{file.relative_to(SOURCE)} imports {name}"
        for file in source_files()
        for name in imports_of(file)
        if name.startswith("transformers.models.") and name.split(".")[2] in MEASURED_AGAINST
    ]
    assert not wrong


@pytest.mark.parametrize("operation", ["window", "nystrom"])
def test_no_backend_imports_another(operation):
    folder = SOURCE / "ops" / operation
    backends = {"reference", "sdpa", *({"flex", "varlen"} if operation == "window" else ())}
    assert backends <= {file.stem for file in folder.glob("*.py")}
    for file in folder.glob("*.py"):
        others = {f"longspan.ops.{operation}.{name}" for name in backends - {file.stem}}
        if file.stem in backends:
            reached = {name for name in imports_of(file) if any((name + ".").startswith(o + ".") for o in others)}
            assert not reached, f"{file.name} imports {reached}"


def test_the_walk_sees_every_form_of_import(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    file = tmp_path / "ops" / "window" / "sdpa.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import transformers.models.led.modeling_led\n"
        "from . import reference\n"
        "from ..nystrom.api import f\n"
        "def g():\n    from longspan.models import x\n    import_module('transformers.models.big_bird')\n"
    )
    assert imports_of(file) == [
        "transformers.models.led.modeling_led",
        "longspan.ops.window.reference",
        "longspan.ops.nystrom.api.f",
        "longspan.models.x",
        "transformers.models.big_bird",
    ]


def test_no_file_is_over_five_hundred_lines():
    folders = [SOURCE, ROOT / "tests", ROOT / "benchmarks", ROOT / "examples", ROOT / "docs"]
    long = [str(f) for d in folders for f in d.rglob("*.py") if len(f.read_text("utf-8").splitlines()) > 500]
    assert not long


def test_nothing_is_printed():
    for file in source_files():
        calls = [n for n in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(n, ast.Call)]
        assert not [c.lineno for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], file


def test_the_version_is_that_of_the_installed_package():
    from importlib.metadata import version

    assert version("longspan") == longspan.__version__


def test_licence_and_credit_are_installed():
    from importlib.metadata import distribution

    files = {f.name: f for f in distribution("longspan").files or []}
    assert "Apache License" in files["LICENSE"].read_text(encoding="utf-8")
    assert "The Atticus Project" in files["NOTICE"].read_text(encoding="utf-8")
    assert (SOURCE / "py.typed").is_file()


def test_every_file_is_part_of_the_wheel():
    """Nothing that the package needs is hidden from git, which is what the wheel is built from."""
    done = subprocess.run(
        ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "src"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    assert not [name for name in done.stdout.splitlines() if "__pycache__" not in name]
