"""Numbers that keep the code readable and the repository light."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmarks", "kernels", "models", "pipeline", "viewer")
SOURCES = (".py", ".cu", ".cuh", ".hpp", ".cpp")

MODULE_LINES = 300
FUNCTION_LINES = 40
FILE_BYTES = 8 * 2**20
# Paths, or path::function, that are over their number for a reason, which is to be given beside them.
EXCUSED: frozenset[str] = frozenset()

# A home or working folder of one machine, written where a relative path belongs.
MACHINE_PATH = re.compile(rb"(?<![\w.~$}])/(?:home|root|work|Users)/\w")

_NO_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def sources() -> list[Path]:
    return sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if p.suffix in SOURCES)


def long_functions(text: str) -> Iterator[tuple[str, int]]:
    """Functions over the limit, with their lines of code: without signature, docstring, comments and blank lines."""
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = code & set(range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1))
            if ast.get_docstring(node, clean=False) is not None:
                docstring = node.body[0]
                lines -= set(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
            if len(lines) > FUNCTION_LINES:
                yield node.name, len(lines)


def repository_files() -> list[Path]:
    """Files in git, or about to be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [p for p in (ROOT / name.decode() for name in listed.split(b"\0") if name) if p.is_file()]


def test_files_are_at_most_300_lines() -> None:
    lines = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in sources()}
    assert not {name: n for name, n in lines.items() if n > MODULE_LINES and name not in EXCUSED}


def test_functions_are_at_most_40_lines_of_code() -> None:
    found = {
        f"{p.relative_to(ROOT)}::{name}": n
        for p in sources()
        if p.suffix == ".py"
        for name, n in long_functions(p.read_text())
    }
    assert not {name: n for name, n in found.items() if name not in EXCUSED}


def test_excuses_name_what_is_there() -> None:
    assert all((ROOT / name.split("::")[0]).is_file() for name in EXCUSED)


def test_lines_of_code_are_counted_without_signature_docstring_comments_and_blanks() -> None:
    body = "".join(f"    x = {i}  # why\n\n    # more\n" for i in range(FUNCTION_LINES))
    fits = f'def f():\n    """Say.\n\n    More.\n    """\n{body}'
    assert list(long_functions(fits)) == []
    assert list(long_functions(fits + "    return x\n")) == [("f", FUNCTION_LINES + 1)]


def test_no_file_in_the_repository_is_over_8_mib() -> None:
    assert not {str(p): p.stat().st_size for p in repository_files() if p.stat().st_size > FILE_BYTES}


def test_no_file_names_a_folder_of_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{path.read_bytes()[: match.start()].count(10) + 1}"
        for path in repository_files()
        for match in MACHINE_PATH.finditer(path.read_bytes())
    ]
    assert not found


@pytest.mark.parametrize("folder", [b"home/me", b"root/x", b"work/main", b"Users/me"])
def test_a_folder_of_one_machine_is_seen(folder: bytes) -> None:
    assert MACHINE_PATH.search(b'path = "/' + folder + b'/data"')
    assert not MACHINE_PATH.search(b"see ../" + folder + b" and net" + folder)
