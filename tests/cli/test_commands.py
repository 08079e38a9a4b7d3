"""The commands and flags that there are: a new one is a decision, made here too."""

import json
import subprocess
import sys

import pytest
import torch
import transformers
import typer
from typer.testing import CliRunner

import longspan
from longspan.cli.main import app

READING = {"--device", "--max-length", "--batch-tokens", "--help", "-h"}
DOCUMENTS = {"FILE", "--model", "--encoding"} | READING
DATA = {"CHECKPOINT", "DATA", "--out", "--layout", "--option", "--skip-bad", "--stride", "--json"} | READING
NO_ANSWER = {"--no-answer", "--always-answer"}
FLAGS = {
    "longspan": {"--version", "--help", "-h"},
    "longspan tag": {"FILE", "--model", "--json", "--html", "--min-score", "--encoding", "--help", "-h"},
    "longspan answer": {"--question", "-q", "--top-k", "--no-answer", "--always-answer", "--stride", "--json"}
    | DOCUMENTS,
    "longspan classify": {"--before", "--after", "--stride", "--json"} | DOCUMENTS,
    "longspan fill": {"--top-k", "--json"} | DOCUMENTS,
    "longspan embed": {"--out", "--pooling", "--normalize", "--save", "--stride", "--json"} | DOCUMENTS,
    "longspan evaluate": DATA,
    "longspan predict": DATA,
    "longspan demo": {"--html", "--copies", "--help", "-h"},
    "longspan convert": {
        "SOURCE",
        "OUT",
        "--to",
        "--max-length",
        "--window",
        "--landmarks",
        "--json",
        "--help",
        "-h",
    },
    "longspan info": {"--json", "--help", "-h"},
    "longspan train": {
        "TASK",
        "--data",
        "--out",
        "--validation",
        "--model",
        "--scratch",
        "--family",
        "--tokenizer",
        "--recipe",
        "--layout",
        "--steps",
        "--epochs",
        "--batch",
        "--accumulate",
        "--lr",
        "--lora",
        "--seed",
        "--option",
        "--set",
        "--skip-bad",
        "--json",
        "--help",
        "-h",
    },
    "longspan lra": {"--help", "-h"},
    "longspan lra generate": {
        "TASK",
        "--out",
        "--difficulty",
        "--train",
        "--validation",
        "--test",
        "--seed",
        "--processes",
        "--min-length",
        "--max-length",
        "--max-depth",
        "--max-args",
        "--help",
        "-h",
    },
    "longspan lra run": {
        "TASK",
        "--model",
        "--data",
        "--out",
        "--protocol",
        "--steps",
        "--seed",
        "--device",
        "--threads",
        "--set",
        "--json",
        "--help",
        "-h",
    },
    "longspan lra report": {"DIR", "--help", "-h"},
    "longspan charlm": {"--help", "-h"},
    "longspan charlm train": {
        "--recipe",
        "--data",
        "--out",
        "--seed",
        "--set",
        "--device",
        "--threads",
        "--json",
        "--help",
        "-h",
    },
    "longspan charlm evaluate": {
        "--model",
        "--data",
        "--part",
        "--validation",
        "--test",
        "--length",
        "--step",
        "--streaming",
        "--limit",
        "--device",
        "--threads",
        "--json",
        "--help",
        "-h",
    },
    "longspan charlm generate": {
        "--model",
        "--prompt",
        "--characters",
        "--temperature",
        "--top-k",
        "--seed",
        "--device",
        "--threads",
        "--json",
        "--help",
        "-h",
    },
}


def all_flags():
    flags = {}
    waiting = [("longspan", typer.main.get_command(app), None)]
    while waiting:
        name, command, parent = waiting.pop()
        context = command.make_context(name, [], parent=parent, resilient_parsing=True)
        waiting += [(f"{name} {n}", c, context) for n, c in getattr(command, "commands", {}).items()]
        flags[name] = set()
        for parameter in command.get_params(context):
            names = [*parameter.opts, *parameter.secondary_opts]
            flags[name] |= {parameter.metavar} if parameter.param_type_name == "argument" else set(names)
    return flags


def test_commands_and_flags_are_these():
    assert all_flags() == FLAGS


@pytest.mark.parametrize("command", sorted(FLAGS))
def test_help_explains_every_flag(command):
    result = CliRunner().invoke(app, [*command.split()[1:], "--help"])
    assert result.exit_code == 0
    for flag in FLAGS[command]:
        assert flag in result.stdout
    assert "Traceback" not in result.stdout


def test_help_names_the_exit_codes():
    text = CliRunner().invoke(app, ["tag", "--help"]).stdout
    assert "Exit codes: 0 fine; 1 " in text and "2 wrong usage" in text


def test_no_command_prints_the_help():
    result = CliRunner().invoke(app, [])
    assert "Usage: longspan" in result.stdout + result.stderr


def test_help_does_not_load_torch():
    code = (
        "import sys\nfrom longspan.cli.main import main\nsys.argv = ['longspan', 'tag', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n"
        "    assert end.code == 0\n    assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_version():
    assert CliRunner().invoke(app, ["--version"]).stdout == f"longspan {longspan.__version__}\n"


def test_info_as_json():
    facts = json.loads(CliRunner().invoke(app, ["info", "--json"]).stdout)
    assert facts["longspan"] == longspan.__version__
    assert facts["torch"] == torch.__version__
    assert facts["transformers"] == transformers.__version__
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["devices"][0] == "cpu"
    assert facts["threads"] == torch.get_num_threads()
    assert list(facts["attention backends"]) == ["eager", "sdpa", "cpp", "flex_attention", "flash_varlen"]
    assert isinstance(facts["bfloat16 in hardware"], bool)


def test_info_for_people_holds_every_fact():
    facts = json.loads(CliRunner().invoke(app, ["info", "--json"]).stdout)
    shown = CliRunner().invoke(app, ["info"]).stdout
    for name in facts:
        assert name in shown
    assert torch.__version__ in shown
