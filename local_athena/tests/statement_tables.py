"""The tables that statements read, in the database `db` of a local Athena.

They are small, so that a reader can count by hand. Each statement is submitted at `NOW`.
"""

# ruff: noqa: E501 - a row of a table stands on a line

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from unittest import mock

import pyarrow as pa

from local_athena import LocalAws
from local_athena.athena import executions
from local_athena.athena.messages import Query
from tests.account import Account

NOW = datetime(2026, 11, 15, 0, 5, tzinfo=UTC)


@contextmanager
def serve() -> Iterator[Account]:
    """A local Athena with the tables."""
    with LocalAws.start() as aws, mock.patch.object(executions, "Query", _query_of_now):
        account = Account(aws)
        _create_sales(account)
        _create_visits(account)
        _create_readings(account)
        _create_texts(account)
        _create_views(account)
        yield account


def _query_of_now(**fields: Any) -> Query:
    return Query(**fields | {"now": NOW})


# --- sales: one row for each sale, with nested columns

_PLACE = {"city": "Kyoto", "zip": "600"}
_AIKO = {"id": 1, "name": "Aiko", "address": _PLACE}
_BEN = {"id": 2, "name": "Ben", "address": {"city": "Osaka", "zip": "530"}}
_CY = {"id": 3, "name": "Cy", "address": {"city": "Reno", "zip": None}}
_DORA = {"id": 4, "name": "Dora", "address": {"city": "Berlin", "zip": "10115"}}
_DORA_MOVED = {"id": 4, "name": "Dora", "address": None}
_NAMELESS = {"id": 5, "name": "", "address": {"city": "", "zip": ""}}

SALES = [
    # id, sold_at, country, product, quantity, price, tags, customer, attributes
    (1, "2026-11-01 09:00:00.000", "JP", "tea", 2, "3.50", ["hot", "green"], _AIKO, {"color": "green", "size": "s"}),
    (2, "2026-11-02 10:30:00.000", "JP", "coffee", 1, "4.00", ["hot"], _BEN, {"size": "m"}),
    (3, "2026-11-03 23:59:59.999", "US", "tea", 5, "3.50", [], _CY, {}),
    (4, "2026-11-05 00:00:00.000", "US", "coffee", 3, "4.25", None, _AIKO, None),
    (5, "2026-11-08 08:00:00.000", "JP", "tea", 4, "3.75", ["iced", "green"], _BEN, {"color": "green"}),
    (6, "2026-11-09 12:00:00.000", None, "cake", 1, "10.00", ["sweet", None], None, {"color": None, "size": "l"}),
    (7, "2026-11-10 15:45:30.250", "DE", "coffee", 2, "4.50", ["hot"], _DORA, {"size": "m"}),
    (8, "2026-11-12 18:20:00.000", "DE", "tea", None, "3.20", ["green"], _DORA_MOVED, {}),
    (9, "2026-11-14 20:00:00.000", "JP", "cake", 3, "9.50", ["sweet", "gift"], _AIKO, {"gift": "yes"}),
    (10, "2026-11-15 00:00:00.000", "US", "cake", 2, "10.00", ["gift"], _NAMELESS, {}),
]  # fmt: skip

_ADDRESS = pa.struct({"city": pa.string(), "zip": pa.string()})
_SALES_TYPES = {
    "id": ("int", pa.int32()),
    "sold_on": ("date", pa.date32()),
    "sold_at": ("timestamp", pa.timestamp("ms")),
    "country": ("string", pa.string()),
    "product": ("string", pa.string()),
    "quantity": ("int", pa.int32()),
    "price": ("decimal(10,2)", pa.decimal128(10, 2)),
    "tags": ("array<string>", pa.list_(pa.string())),
    "customer": (
        "struct<id:int,name:string,address:struct<city:string,zip:string>>",
        pa.struct({"id": pa.int32(), "name": pa.string(), "address": _ADDRESS}),
    ),
    "attributes": ("map<string,string>", pa.map_(pa.string(), pa.string())),
}


def _create_sales(account: Account) -> None:
    rows = [
        (id_, _instant(at).date(), _instant(at), country, product, quantity, Decimal(price), tags,
         customer, None if attributes is None else list(attributes.items()))
        for id_, at, country, product, quantity, price, tags, customer, attributes in SALES
    ]  # fmt: skip
    _create_parquet(account, "sales", _SALES_TYPES, rows)
    _create_parquet(account, "empty_sales", _SALES_TYPES, [])


# --- visits: one row for each page that was seen, partitioned by day

VISITS = {
    # dt: user_id, url, ms, event
    "2026-11-13": [
        ("u1", "https://example.com/shop/tea?ref=mail&q=green%20tea", 120, '{"type":"view","item":{"id":7,"price":3.5}}'),
        ("u2", "https://example.com/shop/cake", 80, '{"type":"buy","item":{"id":9,"price":9.5},"tags":["gift","new"]}'),
    ],
    "2026-11-14": [
        ("u1", "https://example.com:8443/cart#top", 200, '{"type":"buy","item":{"id":7,"price":3.5}}'),
        ("u1", "https://example.com/shop/tea?ref=ad", 95, '{"type":"view","item":null}'),
        ("u3", "http://blog.example.org/", None, "not json"),
    ],
    "2026-11-15": [
        ("u2", "https://example.com/", 60, '{"type":"view"}'),
        (None, "/relative/path", 40, None),
    ],
}  # fmt: skip

_VISITS_TYPES = {
    "user_id": ("string", pa.string()),
    "url": ("string", pa.string()),
    "ms": ("bigint", pa.int64()),
    "event": ("string", pa.string()),
}


def _create_visits(account: Account) -> None:
    account.create_table("visits", _glue_types(_VISITS_TYPES), keys={"dt": "string"})
    for day, rows in VISITS.items():
        account.add_partition("visits", day, path=f"dt={day}", columns=_glue_types(_VISITS_TYPES))
        account.put(f"visits/dt={day}/part-0.parquet", _table(_VISITS_TYPES, rows))


# --- readings: a series with gaps, NaN and NULL

READINGS = [
    ("a", "2026-11-01 00:00:00.000", 1.0),
    ("a", "2026-11-02 00:00:00.000", None),
    ("a", "2026-11-04 00:00:00.000", 3.0),
    ("a", "2026-11-09 00:00:00.000", 6.0),
    ("b", "2026-11-01 12:00:00.000", float("nan")),
    ("b", "2026-11-02 12:00:00.000", -2.5),
    ("b", "2026-11-03 12:00:00.000", None),
]

_READINGS_TYPES = {
    "sensor": ("string", pa.string()),
    "at": ("timestamp", pa.timestamp("ms")),
    "value": ("double", pa.float64()),
}


def _create_readings(account: Account) -> None:
    rows = [(sensor, _instant(at), value) for sensor, at, value in READINGS]
    _create_parquet(account, "readings", _READINGS_TYPES, rows)


# --- lines of JSON and of CSV

_EVENT_COLUMNS = {
    "id": "int",
    "name": "string",
    "detail": "struct<size:int,colors:array<string>>",
    "score": "double",
}
EVENTS = """\
{"id": 1, "name": "start", "detail": {"size": 3, "colors": ["red", "blue"]}, "score": 1.5}
{"id": 2, "name": null, "detail": {"size": null, "colors": []}}
{"id": 3, "name": "", "detail": null, "score": -2, "unknown": true}
"""
PEOPLE = """\
name,city,note
Aiko,Kyoto,"says ""hi"", often"
Ben,"Osaka, Japan",
Cy,Reno,plain
"""
STOCK = "tea\t12\t3.50\ncoffee\t\\N\t4.25\n\t7\t\\N\n"
RETURNS = "1\tbroken\r\n2\t\\N\r\n3\t\r\n"  # as Windows ends lines


def _create_texts(account: Account) -> None:
    hive, tab = "org.apache.hadoop.hive.serde2", "\t"
    quotes = {"separatorChar": ",", "quoteChar": '"', "escapeChar": "\\"}
    people = dict.fromkeys(("name", "city", "note"), "string")
    stock = {"product": "string", "pieces": "int", "price": "double"}
    returns = {"sale": "int", "reason": "string"}
    for name, serde, columns, text, parameters in (
        ("events_openx", "org.openx.data.jsonserde.JsonSerDe", _EVENT_COLUMNS, EVENTS, {}),
        ("events_hive", "org.apache.hive.hcatalog.data.JsonSerDe", _EVENT_COLUMNS, EVENTS, {}),
        ("people_csv", f"{hive}.OpenCSVSerde", people, PEOPLE, quotes),
        ("stock_tsv", f"{hive}.lazy.LazySimpleSerDe", stock, STOCK, {"field.delim": tab, "serialization.format": tab}),
        ("returns_tsv", f"{hive}.lazy.LazySimpleSerDe", returns, RETURNS, {"field.delim": tab}),
    ):  # fmt: skip
        storage = account.storage(f"s3://lake/{name}/", columns)
        storage["SerdeInfo"] = {"SerializationLibrary": serde, "Parameters": parameters}
        header = {"skip.header.line.count": "1"} if name == "people_csv" else {}
        table = {"Name": name, "Parameters": header, "StorageDescriptor": storage}
        account.glue.create_table(DatabaseName="db", TableInput=table)
        account.s3.put_object(Bucket="lake", Key=f"{name}/part-0.txt", Body=text.encode())


# --- views, as Athena stores them in Glue

VIEWS = {
    "sales_by_country": (
        "SELECT country, count(*) AS sales, sum(quantity * price) AS amount FROM sales"
        " GROUP BY country",
        {"country": "varchar", "sales": "bigint", "amount": "decimal(38,2)"},
    ),
    "big_sales": (
        "SELECT id, product, customer.name AS name FROM sales WHERE quantity * price > 12",
        {"id": "integer", "product": "varchar", "name": "varchar"},
    ),
    "big_tea_sales": (
        "SELECT id, name FROM big_sales WHERE product = 'tea'",
        {"id": "integer", "name": "varchar"},
    ),
}


def _create_views(account: Account) -> None:
    for name, (sql, columns) in VIEWS.items():
        view = {
            "originalSql": sql,
            "catalog": "awsdatacatalog",
            "schema": "db",
            "columns": [{"name": name, "type": type_} for name, type_ in columns.items()],
        }
        encoded = base64.b64encode(json.dumps(view).encode()).decode()
        hive_types = {"varchar": "string", "integer": "int"}
        table = {
            "Name": name,
            "TableType": "VIRTUAL_VIEW",
            "Parameters": {"presto_view": "true", "comment": "Presto View"},
            "ViewOriginalText": f"/* Presto View: {encoded} */",
            "StorageDescriptor": account.storage(
                "", {column: hive_types.get(type_, type_) for column, type_ in columns.items()}
            ),
        }
        account.glue.create_table(DatabaseName="db", TableInput=table)


# --- how a table is made


def _create_parquet(
    account: Account, name: str, types: Mapping[str, tuple[str, pa.DataType]], rows: list[Any]
) -> None:
    account.create_table(name, _glue_types(types))
    account.put(f"{name}/part-0.parquet", _table(types, rows))


def _glue_types(types: Mapping[str, tuple[str, pa.DataType]]) -> dict[str, str]:
    return {name: glue for name, (glue, _) in types.items()}


def _table(types: Mapping[str, tuple[str, pa.DataType]], rows: list[Any]) -> pa.Table:
    columns = {
        name: pa.array([row[i] for row in rows], type_)
        for i, (name, (_, type_)) in enumerate(types.items())
    }
    return pa.table(columns)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
