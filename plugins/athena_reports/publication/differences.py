"""How many rows a version changes of the one before."""

from athena_reports.aws.s3 import S3, MissingObjectError
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Difference, Version
from athena_reports.rows.differences import find_differences
from athena_reports.rows.engine import open_engine


def count_difference(
    new: Version, old: Version, location: PeriodLocation, s3: S3, memory_limit: str
) -> Difference | None:
    """Count the rows that `new` adds to `old`, removes and changes.

    Rows are paired by the key of `new`, if `old` has its columns too, and else compared as a whole.
    If the columns or their types differ, so does each row. None if a version lacks its Parquet.
    """
    new_columns = [(column.name, column.type) for column in new.columns]
    old_columns = [(column.name, column.type) for column in old.columns]
    has_same_columns = new_columns == old_columns
    shared_names = {name for name, _ in set(new_columns) & set(old_columns)}
    key = new.key if shared_names.issuperset(new.key) else ()
    if not key and not has_same_columns:
        return Difference(added=new.rows, removed=old.rows)
    if not new.parquet_key or not old.parquet_key:
        return None
    with open_engine(
        memory_limit, about=f"Report {location.report.name!r}, period {location.period_id}"
    ) as engine:
        new_path = engine.folder / "new.parquet"
        old_path = engine.folder / "old.parquet"
        try:
            s3.download(location.uri(new.parquet_key), new_path)
            s3.download(location.uri(old.parquet_key), old_path)
        except MissingObjectError:
            return None
        found = find_differences(
            old_path, new_path, old.columns, new.columns, key, engine, with_examples=False
        )
    changed = found.changed if has_same_columns else new.rows - found.added
    return Difference(added=found.added, removed=found.removed, changed=changed)
