"""What the docstrings have and Google style lacks: cross-reference roles, and lists of names over two lines."""

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|meth|func|mod):`~?([^`]+)`")
WRAPPED_NAMES = re.compile(r"^( +)((?:[a-z_]+, )*[a-z_]+),\n +(?=[a-z_, ]+:)", re.MULTILINE)


class PlainDocstrings(griffe.Extension):
    """Write roles as code, and bring a list of argument names onto one line, before the docstring is parsed."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            value = ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = WRAPPED_NAMES.sub(r"\1\2, ", value)
