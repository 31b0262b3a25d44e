"""The tables that reports read, as `tables.yaml` in the folder of a project has them.

The file lets `check` judge SQL without AWS. `init` and `load` write it, and `check --tables` reads
the tables in Glue. It is reviewed like the rendered SQL:

    plays:
      environment: prd
      date: 2026-11-30
      columns: {user_id: string, score: bigint, played_at: timestamp}
      partition_keys: {dt: string}

A table of another database than the environment's has a name such as `raw.plays`.
"""

import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from athena_reports.errors import AthenaReportsError
from athena_reports.settings import Settings, settings

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

TABLES_FILE = "tables.yaml"
_HEADER = (
    "# Tables that the reports read. To update them from Glue, run: athena-reports check --tables\n"
)


class TablesFileError(AthenaReportsError):
    """The file `tables.yaml` cannot be read."""


class TableSchema(BaseModel, frozen=True, extra="forbid"):
    """A table, with Glue's types by the names of its columns.

    A view is a table without partition keys. `environment` and `date` say where and when the
    columns were read. There are none if Glue does not have them.
    """

    environment: str
    date: datetime.date = Field(default_factory=lambda: datetime.datetime.now(datetime.UTC).date())
    columns: dict[str, str]
    partition_keys: dict[str, str] = {}

    @property
    def all_columns(self) -> dict[str, str]:
        """The columns that a query can name."""
        return self.columns | self.partition_keys


_Tables = TypeAdapter(dict[str, TableSchema])
FindTable = Callable[[str, str], TableSchema | None]
"""Returns a table by the names of its database and its own; None if its columns are not known."""


def read_tables(root: Path) -> dict[str, TableSchema]:
    """Return the tables of a project by name; none without the file."""
    file = root / TABLES_FILE
    if not file.is_file():
        return {}
    try:
        return _Tables.validate_python(yaml.safe_load(file.read_text(encoding="utf-8")) or {})
    except ValidationError as error:
        first = error.errors()[0]
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (ValueError, yaml.YAMLError) as error:
        problem = str(error)
    raise TablesFileError(
        f"{file}: {problem}. Correct the file, or delete it and run"
        " `athena-reports check --tables`."
    )


def write_tables(tables: Mapping[str, TableSchema], root: Path) -> None:
    """Write the tables of a project."""
    values = _Tables.dump_python(dict(sorted(tables.items())))
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    (root / TABLES_FILE).write_text(f"{_HEADER}{text}", encoding="utf-8")


def add_table(name: str, table: TableSchema, root: Path) -> None:
    """Add a table to those of a project. One that was read in another environment stays."""
    tables = read_tables(root)
    if name not in tables or tables[name].environment == table.environment:
        write_tables({**tables, name: table}, root)


def table_name(database: str, name: str) -> str:
    """Return the name of a table in `tables.yaml`, as Athena has it: in lower case."""
    if database.lower() == settings().database.lower():
        return name.lower()
    return f"{database}.{name}".lower()


def table_schema(table: Mapping[str, Any], environment: str) -> TableSchema:
    """Return a table as Glue's GetTable describes it.

    A link to a table of another account has no columns. Those that Glue has of a Delta Lake table
    may be out of date ("Query Delta Lake tables" in Athena's user guide), so it has none here.
    """
    columns = {
        column["Name"]: column.get("Type", "")
        for column in table.get("StorageDescriptor", {}).get("Columns", [])
        # Glue also lists the columns that an Iceberg table had once.
        if column.get("Parameters", {}).get("iceberg.field.current") != "false"
    }
    if table.get("Parameters", {}).get("table_type", "").lower() == "delta":
        columns = {}
    keys = {key["Name"]: key.get("Type", "") for key in table.get("PartitionKeys", [])}
    return TableSchema(environment=environment, columns=columns, partition_keys=keys)


def find_in_file(root: Path) -> FindTable:
    """Return a function that finds tables in `tables.yaml` of a project."""
    tables = read_tables(root)
    return lambda database, name: tables.get(table_name(database, name))


class GlueTables:
    """Finds tables in Glue, and keeps those that it has found.

    `names` are the settings of its environment, whose databases may have other names than here.
    """

    def __init__(self, glue: "GlueClient", names: Settings) -> None:
        self.found: dict[str, TableSchema] = {}
        self._glue = glue
        self._names = names

    def __call__(self, database: str, name: str) -> TableSchema | None:
        """Return a table; None if Glue has none of these names."""
        in_glue = database
        if database == settings().database:
            in_glue = self._names.database
        elif database == settings().report_database:
            in_glue = self._names.report_database
        try:
            response = self._glue.get_table(DatabaseName=in_glue, Name=name)
        except self._glue.exceptions.EntityNotFoundException:
            return None
        table = table_schema(response["Table"], self._names.environment)
        self.found[table_name(database, name)] = table
        return table


class ProjectTables:
    """Finds tables in Glue, or else in `tables.yaml`, and notes where the two differ.

    Attributes:
        outdated: The tables whose columns in the file are not those of Glue.
    """

    def __init__(self, root: Path, glue: "GlueClient") -> None:
        self.outdated: list[str] = []
        self._in_glue = GlueTables(glue, settings())
        self._in_file = find_in_file(root)

    def __call__(self, database: str, name: str) -> TableSchema | None:
        """Return a table; None if neither has it."""
        in_glue = self._in_glue(database, name)
        in_file = self._in_file(database, name)
        if in_glue is None or not in_glue.columns:
            return in_file or in_glue
        if in_file is None or in_file.all_columns != in_glue.all_columns:
            self.outdated.append(table_name(database, name))
        return in_glue
