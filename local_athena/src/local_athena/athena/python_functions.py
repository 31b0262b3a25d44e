"""Functions that DuckDB lacks, in Python. The engine hands DuckDB those that a query names.

NULL as an argument gives NULL. A ValueError says what is wrong about an argument.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import xxhash

from local_athena.athena import joni, json_paths


class NotDoneError(Exception):
    """Python could give something else here than Athena does.

    The query fails as NOT_SUPPORTED, also within TRY.
    """


@dataclass(frozen=True)
class PythonFunction:
    """A function as DuckDB is told of it.

    Attributes:
        call: What it computes.
        parameters: DuckDB's types of what it takes.
        result: DuckDB's type of what it gives.
    """

    call: Callable[..., Any]
    parameters: tuple[str, ...]
    result: str

    def __call__(self, *args: Any) -> Any:
        """NULL if an argument is NULL, else the result."""
        return None if any(arg is None for arg in args) else self.call(*args)


def _read(pattern: str, text: str) -> joni.Pattern:
    """A regular expression for this text."""
    try:
        read = joni.read(pattern)
    except joni.NotReadError:
        raise NotDoneError(f"the regular expression {pattern!r}") from None
    if not read.is_sure_of(text):
        raise NotDoneError(f"the regular expression {pattern!r} of letters beyond ASCII")
    return read


def _group(match: re.Match[str], group: int) -> str | None:
    groups = match.re.groups
    if not 0 <= group <= groups:
        raise ValueError(f"Pattern has {groups} groups. Cannot access group {group}")
    return match[group]


def _regexp_like(text: str, pattern: str) -> bool:
    return _read(pattern, text).python.search(text) is not None


def _regexp_extract(text: str, pattern: str, group: int) -> str | None:
    match = _read(pattern, text).python.search(text)
    return None if match is None else _group(match, group)


def _regexp_extract_all(text: str, pattern: str, group: int) -> list[str | None]:
    return [_group(match, group) for match in joni.matches(_read(pattern, text), text)]


def _regexp_count(text: str, pattern: str) -> int:
    return sum(1 for _ in joni.matches(_read(pattern, text), text))


def _regexp_position(text: str, pattern: str, start: int, occurrence: int) -> int:
    if start < 1:
        raise ValueError("start position cannot be smaller than 1")
    if occurrence < 1:
        raise ValueError("occurrence cannot be smaller than 1")
    if start > len(text):
        return -1
    for number, match in enumerate(joni.matches(_read(pattern, text), text, start - 1), 1):
        if number == occurrence:
            return match.start() + 1
    return -1


def _regexp_pieces(text: str, pattern: str) -> dict[str, list[Any]]:
    """The texts around the matches, and the groups of each match."""
    around: list[str] = []
    groups: list[tuple[str | None, ...]] = []
    end = 0
    for match in joni.matches(_read(pattern, text), text):
        around.append(text[end : match.start()])
        groups.append(match.groups())
        end = match.end()
    return {"around": [*around, text[end:]], "groups": groups}


def _regexp_replace(text: str, pattern: str, form: str) -> str:
    read = _read(pattern, text)
    replaced = ""
    end = 0
    for match in joni.matches(read, text):
        replaced += text[end : match.start()]
        for piece in joni.read_replacement(read, form):
            replaced += piece if isinstance(piece, str) else match[piece] or ""
        end = match.end()
    return replaced + text[end:]


def _found(document: str, path: str) -> list[Any]:
    """What a path finds in JSON; nothing where the document is not JSON."""
    try:
        return json_paths.found(document, json_paths.read(path))
    except json_paths.PathNotReadError:
        raise NotDoneError(f"the JSON path {path!r}") from None
    except RecursionError:
        raise NotDoneError("JSON that is nested so deep") from None
    except ValueError:
        return []


def _json_exists(document: str, path: str) -> bool:
    return bool(_found(document, path))


def _json_value(document: str, path: str) -> str | None:
    items = _found(document, path)
    if len(items) != 1 or items[0] is None or isinstance(items[0], (dict, list)):
        return None
    if isinstance(items[0], Decimal):
        raise NotDoneError("json_value of a number with a point")
    return items[0] if isinstance(items[0], str) else json.dumps(items[0])


def _json_query(document: str, path: str) -> str | None:
    items = _found(document, path)
    if len(items) != 1:
        return None
    if not isinstance(items[0], (dict, list)):
        raise NotDoneError("json_query of anything but an object or array")
    try:
        shown = json.dumps(items[0], ensure_ascii=False, separators=(",", ":"))
    except TypeError:
        raise NotDoneError("json_query of numbers with a point") from None
    return re.sub(r"\\u[0-9a-f]{4}|\\.", _with_upper_digits, shown)


def _with_upper_digits(escape: re.Match[str]) -> str:
    """An escape of JSON as Trino writes it, its digits in upper case; any other one as it is."""
    code = escape[0]
    return code if len(code) == 2 else code[:2] + code[2:].upper()


_SIZES = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")


def _data_size(text: str) -> str:
    """Whole bytes, as the digits of a decimal."""
    size = re.fullmatch(rf"(\d+\.?\d*|\.\d+)({'|'.join(_SIZES)})", text, re.ASCII)
    if size is None:
        raise ValueError(f"Invalid data size: '{text}'")
    return str(int(Fraction(size[1]) * 1024 ** _SIZES.index(size[2])))


def _to_base32(data: bytes) -> str:
    return base64.b32encode(data).decode()


def _from_base32(text: str) -> bytes:
    digits = text.rstrip("=")
    return base64.b32decode(digits + "=" * (-len(digits) % 8))


def _from_utf8(data: bytes, replacement: str) -> str:
    if len(replacement) > 1:
        raise ValueError("Replacement character string must empty or a single character")
    escaped = data.decode("utf-8", errors="surrogateescape")
    # How many characters a longer sequence that breaks off counts for is not documented.
    if re.search("[\udcc0-\udcfd][\udc80-\udcff]|[\udc80-\udcff][\udcc0-\udcfd]", escaped):
        raise NotDoneError("from_utf8 of bytes that begin as a character and do not end as one")
    return re.sub("[\udc80-\udcff]", lambda _: replacement, escaped)


def _normalize(text: str, form: Literal["NFC", "NFD", "NFKC", "NFKD"]) -> str:
    return unicodedata.normalize(form, text)


def _sha512(data: bytes) -> bytes:
    return hashlib.sha512(data).digest()


def _xxhash64(data: bytes) -> bytes:
    return xxhash.xxh64_digest(data)


def _hmac_sha512(data: bytes, key: bytes) -> bytes:
    return hmac.digest(key, data, "sha512")


PYTHON_FUNCTIONS = {
    "python_data_size": PythonFunction(_data_size, ("VARCHAR",), "VARCHAR"),
    "python_from_base32": PythonFunction(_from_base32, ("VARCHAR",), "BLOB"),
    "python_from_utf8": PythonFunction(_from_utf8, ("BLOB", "VARCHAR"), "VARCHAR"),
    "python_hmac_sha512": PythonFunction(_hmac_sha512, ("BLOB", "BLOB"), "BLOB"),
    "python_json_exists": PythonFunction(_json_exists, ("VARCHAR", "VARCHAR"), "BOOLEAN"),
    "python_json_query": PythonFunction(_json_query, ("VARCHAR", "VARCHAR"), "VARCHAR"),
    "python_json_value": PythonFunction(_json_value, ("VARCHAR", "VARCHAR"), "VARCHAR"),
    "python_normalize": PythonFunction(_normalize, ("VARCHAR", "VARCHAR"), "VARCHAR"),
    "python_regexp_count": PythonFunction(_regexp_count, ("VARCHAR", "VARCHAR"), "BIGINT"),
    "python_regexp_extract": PythonFunction(
        _regexp_extract, ("VARCHAR", "VARCHAR", "BIGINT"), "VARCHAR"
    ),
    "python_regexp_extract_all": PythonFunction(
        _regexp_extract_all, ("VARCHAR", "VARCHAR", "BIGINT"), "VARCHAR[]"
    ),
    "python_regexp_like": PythonFunction(_regexp_like, ("VARCHAR", "VARCHAR"), "BOOLEAN"),
    "python_regexp_pieces": PythonFunction(
        _regexp_pieces, ("VARCHAR", "VARCHAR"), "STRUCT(around VARCHAR[], groups VARCHAR[][])"
    ),
    "python_regexp_position": PythonFunction(
        _regexp_position, ("VARCHAR", "VARCHAR", "INTEGER", "INTEGER"), "INTEGER"
    ),
    "python_regexp_replace": PythonFunction(
        _regexp_replace, ("VARCHAR", "VARCHAR", "VARCHAR"), "VARCHAR"
    ),
    "python_sha512": PythonFunction(_sha512, ("BLOB",), "BLOB"),
    "python_to_base32": PythonFunction(_to_base32, ("BLOB",), "VARCHAR"),
    "python_xxhash64": PythonFunction(_xxhash64, ("BLOB",), "BLOB"),
}
"""By their names in DuckDB's text."""
