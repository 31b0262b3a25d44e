"""Makes Airflow dependable on SQLite; copied to where Airflow looks for `airflow_local_settings`.

Python's driver begins a transaction at the first change, so one that opens with a savepoint begins
as a reader. SQLite refuses to let a reader write once somebody else has written: "database is
locked", at once, whatever the timeout. Airflow 3.3.1 opens so where it creates the runs of a
backfill. Creation fails at random while tasks run, and taking back the runs made so far ends a
scheduler that has seen them (StaleDataError).
Begun as a writer, the transaction waits for its turn.
"""

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine


@event.listens_for(Engine, "savepoint")
def begin_as_writer(connection: Connection, _name: str | None) -> None:
    """Take SQLite's write lock before a savepoint that would open a transaction."""
    driver_connection = connection.connection.dbapi_connection
    if (
        connection.dialect.driver == "pysqlite"
        and driver_connection
        and not driver_connection.in_transaction
    ):
        driver_connection.cursor().execute("BEGIN IMMEDIATE")
