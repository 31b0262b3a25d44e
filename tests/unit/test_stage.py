from __future__ import annotations

import base64
import datetime as dt
import decimal
import errno
import hashlib
import io
import json
import math
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_reports import stage as module
from athena_reports.errors import PublishError
from athena_reports.result import UnloadedFile
from athena_reports.stage import Location, Rows, StagedVersion, stage
from athena_reports.storage import Storage, StorageError, StoredObject
from tests.unit.publishing import FORMATS, SCHEMA, batch, cut, everything_at, staged, week

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ALL_FORMATS = ("parquet", "csv", "jsonl")


@pytest.fixture
def storage(s3: S3Client) -> Storage:
    return Storage(s3)


@pytest.fixture
def location(bucket: str) -> Location:
    return week(bucket)


class Disk(Storage):
    """Keeps what is uploaded in memory: many versions in little time. What is `there` can be copied."""

    def __init__(self) -> None:
        super().__init__(client=None)  # type: ignore[arg-type]
        object.__setattr__(self, "uploaded", {})
        object.__setattr__(self, "there", {})

    uploaded: dict[str, bytes]
    there: dict[str, bytes]

    def upload(self, path: Path, uri: str, content_type: str, *, sha256: str) -> None:
        content = path.read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256
        self.uploaded[uri.rpartition("/")[2]] = content

    def copy(self, source: StoredObject, uri: str, content_type: str) -> str:
        content = self.there[source.uri]
        self.uploaded[uri.rpartition("/")[2]] = content
        return hashlib.sha256(content).hexdigest()


NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
NOWHERE = Location("bucket", "plays", "weekly", "2026-11-15")


def written(
    table: pa.Table, format: str, batches: Iterator[pa.RecordBatch] | None = None
) -> tuple[StagedVersion, bytes]:
    """Stage a table in one format, and return the version with the bytes of its one object."""
    disk = Disk()
    rows = Rows(table.schema, batches or iter(table.to_batches()))
    version = stage(rows, location=NOWHERE, formats=[format], storage=disk)
    (content,) = disk.uploaded.values()
    return version, content


# --- the formats


def test_what_is_staged_are_the_rows_in_each_format(
    s3: S3Client, storage: Storage, location: Location
) -> None:
    names = ["a,b", 'say "x"', "line\nbreak", "東京 🎌", "", None]
    version = staged(storage, location, *names, formats=ALL_FORMATS)

    objects = everything_at(s3, location.bucket)
    prefix = f"plays/weekly/2026-11-15/versions/{version.version}"
    assert set(objects) == {f"{prefix}/{format}/part-0.{format}" for format in ALL_FORMATS}
    table = pq.read_table(io.BytesIO(objects[f"{prefix}/parquet/part-0.parquet"]))
    assert table.schema.equals(SCHEMA)
    assert table["name"].to_pylist() == names
    csv = pa_csv.read_csv(
        io.BytesIO(objects[f"{prefix}/csv/part-0.csv"]),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    assert csv["name"].to_pylist() == names
    assert csv["user_id"].to_pylist() == list(range(6))
    lines = objects[f"{prefix}/jsonl/part-0.jsonl"].decode().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"user_id": number, "name": name} for number, name in enumerate(names)
    ]


def test_the_facts_of_a_version_are_those_of_its_objects(
    s3: S3Client, storage: Storage, location: Location
) -> None:
    version = staged(storage, location, "a", None, ordered=False)

    assert (version.rows, version.ordered) == (2, False)
    assert list(version.columns) == [
        {"name": "user_id", "type": "int64", "glue": "bigint"},
        {"name": "name", "type": "string", "glue": "string"},
    ]
    contents = everything_at(s3, location.bucket)
    for item in version.objects:
        assert (item.bytes, item.sha256, item.rows) == (
            len(contents[item.key]),
            hashlib.sha256(contents[item.key]).hexdigest(),
            2,
        )
    assert StagedVersion.from_dict(json.loads(json.dumps(version.to_dict()))) == version


def test_a_column_that_glue_has_no_type_for_is_staged_with_an_empty_one() -> None:
    version, _ = written(pa.table({"at": pa.array([dt.time(1, 2)], pa.time32("ms"))}), "parquet")

    assert version.columns == ({"name": "at", "type": "time32[ms]", "glue": ""},)


TEXT = st.one_of(
    st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.just('"'), st.just("\\")
)
DECIMALS = st.one_of(
    st.none(),
    st.integers(-(10**38) + 1, 10**38 - 1).map(
        lambda n: decimal.Decimal(n).scaleb(-7, decimal.Context(prec=50))
    ),
)
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "bigint": (pa.int64(), st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))),
    "double": (pa.float64(), st.one_of(st.none(), st.floats())),
    "real": (pa.float32(), st.one_of(st.none(), st.floats(width=32))),
    "decimal": (pa.decimal128(38, 7), DECIMALS),
    "boolean": (pa.bool_(), st.one_of(st.none(), st.booleans())),
    "text": (pa.string(), TEXT),
    "date": (pa.date32(), st.one_of(st.none(), st.dates())),
    "timestamp": (
        pa.timestamp("ms"),
        st.one_of(
            st.none(), st.datetimes().map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000))
        ),
    ),
    "bytes": (pa.binary(), st.one_of(st.none(), st.binary(max_size=4))),
    "digest": (pa.binary(3), st.one_of(st.none(), st.binary(min_size=3, max_size=3))),
    "nothing": (pa.null(), st.none()),
    "array": (pa.list_(pa.string()), st.one_of(st.none(), st.lists(TEXT, max_size=3))),
    "row": (
        pa.struct([("x", pa.int32()), ('y "', pa.list_(pa.float64()))]),
        st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {"x": st.one_of(st.none(), st.integers(0, 9)), 'y "': st.lists(st.floats(), max_size=2)}
            ),
        ),
    ),
    "map": (
        pa.map_(pa.string(), pa.int64()),
        st.one_of(
            st.none(),
            st.lists(
                st.tuples(st.text('ab"\\\n', max_size=3), st.one_of(st.none(), st.integers(0, 9))),
                max_size=3,
                unique_by=lambda entry: entry[0],
            ),
        ),
    ),
    "numbered": (
        pa.map_(pa.int32(), pa.string()),
        st.one_of(
            st.none(), st.dictionaries(st.integers(0, 9), TEXT, max_size=2).map(lambda d: [*d.items()])
        ),
    ),
}


def in_json(value: Any, kind: pa.DataType) -> Any:
    """What a value is to be in JSON, told in Python's own types."""
    if value is None:
        return None
    if pa.types.is_floating(kind):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if pa.types.is_list(kind):
        return [in_json(element, kind.value_type) for element in value]
    if pa.types.is_struct(kind):
        return {field.name: in_json(value[field.name], field.type) for field in kind}
    if pa.types.is_map(kind):
        return {str(key): in_json(item, kind.item_type) for key, item in value}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="milliseconds")
    return value.isoformat() if isinstance(value, dt.date) else value


def number_of(text: str) -> Any:
    """A JSON number as Python's decimal, so that no digit is lost."""
    return decimal.Decimal(text)


@given(st.lists(st.fixed_dictionaries({name: values for name, (_, values) in COLUMNS.items()}), max_size=6))
@settings(max_examples=60)
def test_json_lines_hold_every_value(rows: list[dict[str, Any]]) -> None:
    schema = pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()])
    table = pa.Table.from_pylist(rows, schema=schema)

    _, content = written(table, "jsonl")
    lines = content.decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(rows)
    for line, row in zip(lines, table.to_pylist(), strict=True):
        found = json.loads(line, parse_float=number_of, parse_int=number_of)
        assert list(found) == schema.names
        for name in ("double", "real"):
            expected = in_json(row[name], schema.field(name).type)
            if isinstance(expected, float) and name == "real":
                assert pa.scalar(float(found[name]), pa.float32()).as_py() == expected
            else:
                assert (float(found[name]) if isinstance(expected, float) else found[name]) == expected
        assert json.loads(line)["row"] == in_json(row["row"], schema.field("row").type)
        for name in set(COLUMNS) - {"double", "real", "row"}:
            assert found[name] == in_json(row[name], schema.field(name).type)


def test_a_timestamp_with_a_zone_is_its_instant_in_utc() -> None:
    tokyo = pa.array([dt.datetime(2026, 11, 14, 15, tzinfo=dt.UTC)], pa.timestamp("ms", "Asia/Tokyo"))
    _, content = written(pa.table({"at": tokyo, "t": pa.array([dt.time(1, 2, 3)], pa.time32("ms"))}), "jsonl")

    assert content == b'{"at":"2026-11-14T15:00:00.000Z","t":"01:02:03.000"}\n'


@given(st.lists(st.tuples(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), TEXT), max_size=8))
def test_csv_holds_every_value_and_tells_null_from_the_empty_string(rows: list[tuple[Any, Any]]) -> None:
    table = pa.table({"user_id": [n for n, _ in rows], "name": [t for _, t in rows]}, schema=SCHEMA)
    _, content = written(table, "csv")

    found = pa_csv.read_csv(
        io.BytesIO(content),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=SCHEMA,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    assert found.equals(table)


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("batches", [0, 1, 3])
def test_an_empty_result_is_staged_with_its_columns(format: str, batches: int) -> None:
    disk = Disk()
    rows = Rows(SCHEMA, iter([batch()] * batches))

    version = stage(rows, location=NOWHERE, formats=[format], storage=disk)
    assert (version.rows, version.objects[0].rows) == (0, 0)
    (content,) = disk.uploaded.values()
    if format == "parquet":
        assert pq.read_table(io.BytesIO(content)).schema.equals(SCHEMA)
    else:
        assert content == {"csv": b'"user_id","name"\n', "jsonl": b""}[format]


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        ("csv", pa.list_(pa.int64())),
        ("csv", pa.struct([("x", pa.int64())])),
        ("csv", pa.binary()),
        ("jsonl", pa.duration("s")),
        ("jsonl", pa.list_(pa.duration("s"))),
    ],
)
def test_a_column_that_a_format_does_not_hold_is_refused_before_a_row_is_read(
    format: str, kind: pa.DataType
) -> None:
    schema = pa.schema([("user_id", pa.int64()), ("odd", kind)])

    def none_read() -> Iterator[pa.RecordBatch]:
        pytest.fail("a row was read")
        yield

    with pytest.raises(PublishError) as caught:
        stage(Rows(schema, none_read()), location=NOWHERE, formats=["parquet", format], storage=Disk())
    assert not caught.value.retryable
    message = str(caught.value)
    assert NOWHERE.prefix in message
    assert f"'odd' is a {kind}" in message
    assert repr(format) in message


# --- the same rows, the same bytes


NAMED = [None if n % 17 == 0 else f"user {n * 7919 % 60_013} of many" for n in range(60_000)]
LARGE = pa.table({"user_id": range(60_000), "name": NAMED}, schema=SCHEMA)


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"_GROUP_ROWS": 20_000, "_SLICE_ROWS": 1_000},
        {"_GROUP_BYTES": 300_000, "_SLICE_BYTES": 7_000},
    ],
    ids=["as it is", "cut by rows", "cut by bytes"],
)
@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
def test_the_bytes_do_not_depend_on_how_the_result_was_cut(
    monkeypatch: pytest.MonkeyPatch, limits: dict[str, int], format: str
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(module, name, value)
    whole, content = written(LARGE, format)

    @given(st.lists(st.integers(0, 20_000), max_size=6))
    @settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def versions_agree(sizes: list[int]) -> None:
        assert written(LARGE, format, cut(LARGE, sizes)) == (whole, content)

    versions_agree()
    assert whole.rows == 60_000
    if format == "parquet":
        file = pq.ParquetFile(io.BytesIO(content))
        assert file.read().equals(LARGE)
        groups = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
        if "_GROUP_ROWS" in limits:
            assert groups == [20_000] * 3
        else:
            assert (len(groups) > 5) == ("_GROUP_BYTES" in limits)


@given(
    st.lists(st.fixed_dictionaries({name: values for name, (_, values) in COLUMNS.items()}), max_size=20),
    st.lists(st.integers(0, 9), max_size=5),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_the_bytes_of_all_types_do_not_depend_on_the_cuts(
    rows: list[dict[str, Any]], sizes: list[int]
) -> None:
    schema = pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()])
    table = pa.Table.from_pylist(rows, schema=schema)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SLICE_BYTES", 500)
        patch.setattr(module, "_GROUP_BYTES", 2_000)
        version, content = written(table, "parquet", cut(table, sizes))
        assert (version, content) == written(table, "parquet")
    # As text, in which NaN equals itself.
    assert str(pq.read_table(io.BytesIO(content)).to_pylist()) == str(table.to_pylist())


def greedy(sizes: Sequence[int], most_rows: int, most_bytes: int) -> list[int]:
    """Cut rows of these sizes from the first one on, and return how many each cut has."""
    cuts: list[list[int]] = []
    for size in sizes:
        if not cuts or len(cuts[-1]) == most_rows or sum(cuts[-1]) + size > most_bytes:
            cuts.append([])
        cuts[-1].append(size)
    return [len(some) for some in cuts]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=60), st.lists(st.integers(0, 9), max_size=12))
@settings(max_examples=60)
def test_where_a_slice_ends_depends_on_the_rows_alone(lengths: list[int], sizes: list[int]) -> None:
    """Seen in row groups of one slice each."""
    table = pa.table({"user_id": range(len(lengths)), "name": ["x" * n for n in lengths]}, schema=SCHEMA)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"_SLICE_ROWS": 7, "_SLICE_BYTES": 150, "_GROUP_BYTES": 1}.items():
            patch.setattr(module, name, value)
        _, content = written(table, "parquet", cut(table, sizes))

    found = pq.ParquetFile(io.BytesIO(content)).metadata
    groups = [found.row_group(number).num_rows for number in range(found.num_row_groups)]
    assert groups == greedy([9 + 4 + n for n in lengths], 7, 150)


def test_dictionaries_that_differ_from_batch_to_batch_make_no_difference() -> None:
    names = ["a", "b", "a", None, "c", "b"]
    encoded = [pa.array(part).dictionary_encode() for part in (names[:2], names[2:])]
    batches = [pa.record_batch({"name": part}) for part in encoded]

    found = written(pa.Table.from_batches(batches[:1]), "parquet", iter(batches))
    assert found == written(pa.table({"name": names}), "parquet")


def test_a_group_is_never_larger_than_its_limit_and_the_row_that_breaks_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_SLICE_BYTES", 10_000)
    monkeypatch.setattr(module, "_GROUP_BYTES", 40_000)
    names = ["x" * (50_000 if n % 100 == 50 else n % 700) for n in range(1_000)]
    table = pa.table({"user_id": range(1_000), "name": names}, schema=SCHEMA)

    _, content = written(table, "parquet")
    file = pq.ParquetFile(io.BytesIO(content))
    assert file.read().equals(table)
    sizes = [file.read_row_group(number).nbytes for number in range(file.num_row_groups)]
    assert max(sizes) < 50_000 + 1_000
    assert sorted(sizes)[len(sizes) // 2] <= 40_000


def test_rows_in_no_order_are_two_files_whatever_the_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GROUP_ROWS", 20_000)
    monkeypatch.setattr(module, "_SLICE_ROWS", 1_000)

    def unordered(batches: Iterator[pa.RecordBatch]) -> tuple[StagedVersion, dict[str, bytes]]:
        disk = Disk()
        rows = Rows(SCHEMA, batches, ordered=False)
        return stage(rows, location=NOWHERE, formats=FORMATS, storage=disk), disk.uploaded

    version, files = unordered(iter(LARGE.to_batches()))
    tables = [pq.read_table(io.BytesIO(files[f"part-{part}.parquet"])) for part in (0, 1)]
    assert tables[0].equals(pa.concat_tables([LARGE[:20_000], LARGE[40_000:]]))
    assert tables[1].equals(LARGE[20_000:40_000])
    assert files["part-0.csv"] == written(LARGE, "csv")[1]
    found = [(item.key.rpartition("/")[2], item.rows) for item in version.objects]
    assert found == [("part-0.parquet", 40_000), ("part-1.parquet", 20_000), ("part-0.csv", 60_000)]
    assert version.rows == 60_000
    assert unordered(cut(LARGE, [1, 30_000, 7])) == (version, files)


def test_few_rows_in_no_order_are_one_file() -> None:
    version = staged(Disk(), NOWHERE, "a", "b", formats=["parquet"], ordered=False)
    assert [item.rows for item in version.objects] == [2]


def test_other_rows_or_formats_are_another_version() -> None:
    versions = [
        staged(Disk(), NOWHERE, *names, formats=formats).version
        for names, formats in [
            (("a", "b"), FORMATS),
            (("b", "a"), FORMATS),
            (("a",), FORMATS),
            (("a", None), FORMATS),
            (("a", ""), FORMATS),
            (("a", "b"), ["csv"]),
            (("a", "b"), ["parquet"]),
            (("a", "b"), ["jsonl"]),
        ]
    ]

    assert len(set(versions)) == len(versions)


def test_the_order_in_which_formats_are_named_is_no_other_version() -> None:
    one = staged(Disk(), NOWHERE, "a", formats=["csv", "parquet"])
    other = staged(Disk(), NOWHERE, "a", formats=["parquet", "csv"])

    assert one.version == other.version


# --- observers, threads, files that are published as they are


def test_observers_see_every_batch_once_and_in_order_before_anything_is_uploaded() -> None:
    seen: list[tuple[str, list[Any]]] = []
    disk = Disk()

    def observer(name: str) -> Callable[[pa.RecordBatch], None]:
        def observe(found: pa.RecordBatch) -> None:
            assert not disk.uploaded
            seen.append((name, found["name"].to_pylist()))

        return observe

    batches = [batch("a", "b"), batch(), batch("c")]
    rows = Rows(SCHEMA, iter(batches))
    stage(rows, location=NOWHERE, formats=FORMATS, storage=disk, observers=[observer("x"), observer("y")])
    assert seen == [(name, names) for names in (["a", "b"], [], ["c"]) for name in "xy"]


def test_one_group_starts_no_thread_and_many_are_written_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[str] = set()
    write_group = module._write_group

    def noting(*arguments: Any) -> None:
        threads.add(threading.current_thread().name)
        write_group(*arguments)

    monkeypatch.setattr(module, "_write_group", noting)
    written(LARGE, "parquet")
    assert threads == {threading.current_thread().name}

    monkeypatch.setattr(module, "_GROUP_ROWS", 20_000)
    _, content = written(LARGE, "parquet")
    assert len(threads) == 2
    assert pq.read_table(io.BytesIO(content)).equals(LARGE)


def test_an_error_of_the_rows_comes_through_and_nothing_is_uploaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GROUP_ROWS", 1_000)

    def breaking() -> Iterator[pa.RecordBatch]:
        yield from LARGE.slice(0, 50_000).to_batches()
        raise KeyError("the rows")

    disk = Disk()
    with pytest.raises(KeyError, match="the rows"):
        stage(Rows(SCHEMA, breaking()), location=NOWHERE, formats=FORMATS, storage=disk)
    assert not disk.uploaded


NAMES = (["a", "b"], ["c"])


def unloaded(disk: Disk, *names: Sequence[str]) -> list[UnloadedFile]:
    """Parquet files, as they lie in S3."""
    files = []
    for number, some in enumerate(names):
        content = io.BytesIO()
        pq.write_table(pa.Table.from_batches([batch(*some)]), content)
        uri = f"s3://lake/of-athena-{number}"
        disk.there[uri] = content.getvalue()
        etag = hashlib.md5(content.getvalue(), usedforsecurity=False).hexdigest()
        files.append(UnloadedFile(StoredObject(uri, len(content.getvalue()), etag, NOW), len(some)))
    return files


def batches_of(*names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    return (batch(*some) for some in names)


def unread() -> Iterator[pa.RecordBatch]:
    pytest.fail("the batches were read")
    yield


def test_files_are_published_as_they_are() -> None:
    disk = Disk()
    files = unloaded(disk, *NAMES)

    version = stage(
        Rows(SCHEMA, unread(), files, ordered=False), location=NOWHERE, formats=["parquet"], storage=disk
    )
    assert (version.rows, version.ordered) == (3, False)
    assert [(item.rows, item.key.rpartition("/")[2]) for item in version.objects] == [
        (2, "part-0.parquet"),
        (1, "part-1.parquet"),
    ]
    for item, file in zip(version.objects, files, strict=True):
        content = disk.there[file.stored.uri]
        assert disk.uploaded[item.key.rpartition("/")[2]] == content
        assert (item.sha256, item.bytes) == (hashlib.sha256(content).hexdigest(), len(content))


def test_what_the_files_hold_and_their_order_is_the_version() -> None:
    def version(*names: Sequence[str], backwards: bool = False) -> str:
        disk = Disk()
        files = unloaded(disk, *names)[:: -1 if backwards else 1]
        return stage(
            Rows(SCHEMA, unread(), files), location=NOWHERE, formats=["parquet"], storage=disk
        ).version

    assert version(*NAMES) == version(*NAMES)
    assert len({version(*NAMES), version(*NAMES, backwards=True), version(["a", "b"], ["d"])}) == 3


def test_the_rows_of_files_go_to_other_formats_and_observers() -> None:
    disk = Disk()
    seen: list[str] = []

    version = stage(
        Rows(SCHEMA, batches_of(*NAMES), unloaded(disk, *NAMES)),
        location=NOWHERE,
        formats=["csv", "parquet"],
        storage=disk,
        observers=[lambda found: seen.extend(found["name"].to_pylist())],
    )
    assert seen == ["a", "b", "c"]
    assert version.rows == 3
    assert [(item.format, item.rows) for item in version.objects] == [
        ("csv", 3),
        ("parquet", 2),
        ("parquet", 1),
    ]
    assert disk.uploaded["part-0.csv"].decode().splitlines()[1:] == ['0,"a"', '1,"b"', '0,"c"']


def test_files_that_only_an_observer_reads_are_copied_all_the_same() -> None:
    disk = Disk()
    seen: list[str] = []

    version = stage(
        Rows(SCHEMA, batches_of(*NAMES), unloaded(disk, *NAMES)),
        location=NOWHERE,
        formats=["parquet"],
        storage=disk,
        observers=[lambda found: seen.extend(found["name"].to_pylist())],
    )
    assert seen == ["a", "b", "c"]
    assert [item.rows for item in version.objects] == [2, 1]


def test_files_without_parquet_among_the_outputs_are_only_read() -> None:
    disk = Disk()
    rows = Rows(SCHEMA, batches_of(*NAMES), unloaded(disk, *NAMES))

    version = stage(rows, location=NOWHERE, formats=["jsonl"], storage=disk)
    assert [(item.format, item.rows) for item in version.objects] == [("jsonl", 3)]


# --- what goes wrong


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("groups", [1, 6])
def test_a_full_disk_is_said_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, format: str, groups: int
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(module, "_GROUP_ROWS", 60_000 // groups)
    real = module._writer

    class Full:
        def __init__(self, *arguments: Any) -> None:
            self.writer = real(*arguments)

        def write_table(self, table: pa.Table) -> None:
            self.writer.write_table(table.slice(0, 100))
            raise OSError(errno.ENOSPC, "No space left on device")

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.writer.close()

    monkeypatch.setattr(module, "_writer", Full)
    disk = Disk()
    with pytest.raises(PublishError, match="no space left on the worker's disk") as caught:
        stage(Rows(SCHEMA, iter(LARGE.to_batches())), location=NOWHERE, formats=[format], storage=disk)
    assert NOWHERE.prefix in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert not disk.uploaded
    assert list(tmp_path.iterdir()) == []


def test_another_error_of_the_disk_is_not_called_a_full_one() -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        raise OSError(errno.EIO, "Input/output error")
        yield

    with pytest.raises(OSError, match="Input/output error"):
        stage(Rows(SCHEMA, broken()), location=NOWHERE, formats=FORMATS, storage=Disk())


def test_what_is_there_is_written_again_so_that_it_is_young(
    s3: S3Client, storage: Storage, location: Location
) -> None:
    first = staged(storage, location, "a")
    key = first.objects[0].key
    s3.put_object(Bucket=location.bucket, Key=key, Body=b"damaged")

    assert staged(storage, location, "a") == first
    content = everything_at(s3, location.bucket)[key]
    assert hashlib.sha256(content).hexdigest() == first.objects[0].sha256


def test_without_the_bucket_staging_says_so(storage: Storage) -> None:
    with pytest.raises(
        StorageError, match=r"s3://no-such-bucket/plays/weekly/2026-11-15/.*Create the bucket"
    ) as caught:
        staged(storage, week("no-such-bucket"), "a")
    assert not caught.value.retryable


def test_of_several_large_objects_the_first_that_is_refused_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WORTH_THREADS_BYTES", 0)

    class Refusing(Disk):
        def upload(self, path: Path, uri: str, content_type: str, *, sha256: str) -> None:
            super().upload(path, uri, content_type, sha256=sha256)
            if uri.endswith((".csv", ".jsonl")):
                raise StorageError(f"{uri} cannot be written", retryable=True)

    with pytest.raises(StorageError, match=r"part-0.csv cannot be written"):
        staged(Refusing(), NOWHERE, "a", formats=ALL_FORMATS)
