"""Check generated code: it compiles, and formatting changes nothing but its layout."""

from __future__ import annotations

import ast
import shutil
import subprocess

from b2brecs.codegen.render import Code
from b2brecs.errors import B2BRecsError

LINE_LENGTH = 120


class BadCode(B2BRecsError):
    """Generated code is not valid Python; a fault of b2brecs."""

    def __init__(self, module: str, line: int, reason: str) -> None:
        self.module, self.line, self.reason = module, line, reason
        super().__init__(module, line, reason)

    def __str__(self) -> str:
        return f"the generated {self.module} module is not valid Python: line {self.line}: {self.reason}"


def verify(code: Code) -> Code:
    """Compile both modules and return them.

    Raises
    ------
    BadCode
        A module does not compile.
    """
    for module, text in (("preprocessing", code.preprocessing), ("trainer", code.trainer)):
        try:
            compile(text, module, "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            raise BadCode(module, getattr(error, "lineno", 0) or 0, str(error)) from None
    return code


def formatted(text: str) -> str:
    """Return the text as ``ruff format`` lays it out, or as it is when ruff is not installed.

    For showing and exporting: what it does depends on the ruff that is installed, so what runs is the text itself.
    """
    ruff = shutil.which("ruff")
    if ruff is None:
        return text
    command = [ruff, "format", "--isolated", "--line-length", str(LINE_LENGTH), "--stdin-filename", "module.py", "-"]
    done = subprocess.run(  # noqa: S603  (the text goes in by standard input)
        command, input=text, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False
    )
    if done.returncode or ast.dump(ast.parse(done.stdout)) != ast.dump(ast.parse(text)):
        return text
    return done.stdout
