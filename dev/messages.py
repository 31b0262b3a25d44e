"""Prints every text of plugins/ and cli/ that a person can see: `python dev/messages.py`.

That is strings of several words, the docstrings that Typer shows or that give the reason of a
rule, JavaScript's strings, the lines of TOML, and what is outside of tags in HTML and Jinja.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
_WORDS = re.compile(r"[a-z]{2,}[,.:]? [a-z{]", re.IGNORECASE)
_JS_STRING = re.compile(r'"((?:[^"\\\n]|\\.)+)"|`((?:[^`\\]|\\.)+)`')
_MARKUP = re.compile(r"<[^>]*>|{%.*?%}|{#.*?#}", re.DOTALL)


def texts_of_python(source: str) -> Iterator[tuple[int, str]]:
    """Yield the strings, with the expressions of an f-string in braces, and shown docstrings."""
    nodes = list(ast.walk(ast.parse(source)))
    docstrings = [node.value for node in nodes if isinstance(node, ast.Expr)]
    skipped: set[ast.AST] = set(docstrings)
    rules = {
        name.id
        for node in nodes
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "RULES" and node.value
        for name in ast.walk(node.value)
        if isinstance(name, ast.Name)
    }
    for node in nodes:
        if isinstance(node, ast.JoinedStr) and node not in skipped:
            skipped.update(ast.walk(node))
            parts = [
                f"{{{ast.unparse(part.value)}}}"
                if isinstance(part, ast.FormattedValue)
                else str(ast.literal_eval(part))
                for part in node.values
            ]
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and node not in skipped:
            yield node.lineno, str(node.value)
        elif isinstance(node, ast.FunctionDef) and (_is_command(node) or node.name in rules):
            yield node.lineno, ast.get_docstring(node) or ""


def _is_command(function: ast.FunctionDef) -> bool:
    decorators = map(ast.unparse, function.decorator_list)
    return any(text.startswith(("app.command(", "app.callback(")) for text in decorators)


def texts_of(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a file with their lines."""
    source = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        yield from texts_of_python(source)
    elif file.suffix == ".js":
        for match in _JS_STRING.finditer(source):
            yield source.count("\n", 0, match.start()) + 1, match[1] or match[2]
    else:
        without_tags = _MARKUP.sub(lambda markup: "\n" * (markup[0].count("\n") + 1), source)
        yield from enumerate(without_tags.splitlines(), start=1)


if __name__ == "__main__":
    for path in sorted([*(ROOT / "plugins").rglob("*.*"), *(ROOT / "cli").rglob("*.*")]):
        if path.suffix in {".py", ".js", ".html", ".jinja", ".toml"}:
            for line, text in texts_of(path):
                if _WORDS.search(text):
                    print(f"{path.relative_to(ROOT)}:{line}: {' '.join(text.split())}")
