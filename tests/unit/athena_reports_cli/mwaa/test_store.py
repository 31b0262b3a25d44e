"""What is uploaded, synchronised and left alone, on the local S3."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from athena_reports_cli.mwaa import DeployError
from athena_reports_cli.mwaa.store import Store
from tests.unit.athena_reports_cli.mwaa.repository import ACCOUNT, BUCKET, keys

FILES = {
    "dags/.airflowignore": b"include/**\n",
    "dags/constraints-1.txt": b"duckdb==1\n",
    "dags/include/sql/plays.sql": b"SELECT 1\n",
    "dags/plays.py": b"# one\n",
    "plugins.zip": b"one",
    "requirements.txt": b"duckdb\n",
    "startup.sh": b"export X=1\n",
}
DAGS = {path: content for path, content in FILES.items() if path.startswith("dags/")}


@pytest.fixture(autouse=True)
def small_pages(bucket: Any) -> None:
    """S3 lists two objects at a time in place of 1,000."""

    def limit(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = 2

    bucket.meta.events.register("provide-client-params.s3.ListObjectsV2", limit)


def store(bucket: Any, **changes: bytes | None) -> Store:
    """A store of the bundle with changes; a file that is None is not in it."""
    files = {path: content for path, content in (FILES | changes).items() if content is not None}
    return Store(bucket, BUCKET, ACCOUNT, files)


@pytest.fixture
def deployed(bucket: Any) -> dict[str, str]:
    versions = store(bucket).upload()
    store(bucket).synchronise()
    return versions


def test_a_file_keeps_its_version_until_its_content_changes(
    bucket: Any, deployed: dict[str, str]
) -> None:
    assert store(bucket).upload() == deployed
    changed = store(bucket, **{"plugins.zip": b"two"}).upload()
    assert {name for name in deployed if changed[name] != deployed[name]} == {"PluginsVersion"}
    # One of the same size whose file is older than the object, which `aws s3 sync` would not see.
    assert store(bucket).upload()["PluginsVersion"] not in (
        changed["PluginsVersion"],
        "not-uploaded",
    )


def test_the_constraints_are_there_before_the_requirements_that_name_them_are_used(
    bucket: Any,
) -> None:
    store(bucket).upload()
    assert keys(bucket).keys() == {"dags/constraints-1.txt"}


def test_a_dry_run_uploads_nothing(bucket: Any, deployed: dict[str, str]) -> None:
    new = store(
        bucket,
        **{"plugins.zip": b"two", "dags/constraints-1.txt": None, "dags/constraints-2.txt": b"-"},
    )
    assert new.upload(dry_run=True) == deployed | {"PluginsVersion": "not-uploaded"}
    assert keys(bucket) == DAGS


def test_what_changed_is_written_dags_last_and_what_is_gone_is_removed_dags_first(
    bucket: Any, deployed: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    changes: dict[str, bytes | None] = {"dags/include/sql/plays.sql": None, "dags/plays.py": None}
    # As a bundle has them: the DAG files first.
    changes |= {"dags/flights.py": b"# two\n", "dags/include/sql/flights.sql": b"SELECT 2\n"}
    new = store(bucket, **changes)
    assert new.differences() == (
        ["dags/include/sql/flights.sql", "dags/flights.py"],
        ["dags/plays.py", "dags/include/sql/plays.sql"],
    )
    capsys.readouterr()
    new.synchronise()
    assert capsys.readouterr().out.splitlines() == [
        "write   dags/include/sql/flights.sql",
        "write   dags/flights.py",
        "remove  dags/plays.py",
        "remove  dags/include/sql/plays.sql",
    ]
    assert keys(bucket) == {
        path: content for path, content in (DAGS | changes).items() if content is not None
    }


def test_an_interrupted_upload_is_finished_by_the_next_run(bucket: Any) -> None:
    put = bucket.put_object
    for allowed in range(len(FILES) + 1):
        calls = iter(range(allowed))

        def break_off(calls: Any = calls, **asked: Any) -> Any:
            if next(calls, None) is None:
                raise KeyboardInterrupt
            return put(**asked)

        bucket.put_object = break_off
        try:
            store(bucket).upload()
            store(bucket).synchronise()
        except KeyboardInterrupt:
            continue
        finally:
            bucket.put_object = put
        break
    assert keys(bucket) == DAGS
    assert store(bucket).differences() == ([], [])


@pytest.mark.parametrize("metadata", [{}, {"put-by": "their-tool"}])
def test_files_of_others_stay_and_are_not_replaced(
    bucket: Any, deployed: dict[str, str], metadata: dict[str, str]
) -> None:
    bucket.put_object(Bucket=BUCKET, Key="dags/theirs.py", Body=b"# theirs\n", Metadata=metadata)
    store(bucket).synchronise()
    assert keys(bucket)["dags/theirs.py"] == b"# theirs\n"
    with pytest.raises(
        DeployError, match=r"dags/theirs\.py is another file, which was not deployed from here"
    ):
        store(bucket, **{"dags/theirs.py": b"# ours\n"}).synchronise()


def test_a_file_of_ours_that_somebody_changed_is_not_taken_for_ours(
    bucket: Any, deployed: dict[str, str]
) -> None:
    bucket.put_object(Bucket=BUCKET, Key="dags/plays.py", Body=b"# corrected by hand\n")
    with pytest.raises(DeployError, match="Take it over into the repository"):
        store(bucket).differences()


def test_a_deployment_that_another_one_overtakes_says_so(
    bucket: Any, deployed: dict[str, str]
) -> None:
    mine, theirs = (
        store(bucket, **{"dags/plays.py": b"# mine\n"}),
        store(bucket, **{"dags/plays.py": b"# theirs\n"}),
    )
    put = bucket.put_object

    def overtaken(**asked: Any) -> Any:
        answer = put(**asked)
        bucket.put_object = put
        theirs.synchronise()
        return answer

    bucket.put_object = overtaken
    with pytest.raises(DeployError, match="Somebody else has changed dags/ meanwhile"):
        mine.synchronise()


def test_what_may_not_be_looked_at_is_not_taken_for_what_is_not_there(
    bucket: Any, deployed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a dry run would show everything as new."""
    refusal: Any = {"Error": {"Code": "403"}, "ResponseMetadata": {"HTTPStatusCode": 403}}

    def refuse(**_: Any) -> None:
        raise ClientError(refusal, "HeadObject")

    monkeypatch.setattr(bucket, "head_object", refuse)
    with pytest.raises(ClientError, match="403"):
        store(bucket).upload(dry_run=True)
    with pytest.raises(ClientError, match="403"):
        store(bucket).differences()


def test_nothing_is_asked_of_a_bucket_without_its_owner(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    call = BaseClient._make_api_call

    def note(client: Any, operation: str, parameters: Any) -> Any:
        assert parameters["ExpectedBucketOwner"] == ACCOUNT, operation
        asked.append(operation)
        return call(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", note)
    store(bucket).upload()
    store(bucket).synchronise()
    store(bucket, **{"dags/plays.py": None}).synchronise()
    assert set(asked) == {"HeadObject", "PutObject", "ListObjectsV2", "DeleteObject"}


def test_a_bucket_of_another_account_is_refused(bucket: Any) -> None:
    with pytest.raises(bucket.exceptions.ClientError, match="403"):
        Store(bucket, BUCKET, "210987654321", FILES).upload()
