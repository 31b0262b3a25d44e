"""A rehearsal: deployments and rollbacks on local S3 and a stand-in for Amazon MWAA."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy import environment as environment_module
from deploy.environment import ARTIFACTS, Environment, Pin, UpdateFailedError
from deploy.errors import DeployError, RolloutError, TargetError
from deploy.plan import make_plan
from deploy.releases import Journal, Release, Stored
from tests.deploy.conftest import BUCKET, NAME, Account, Repository
from tests.deploy.mwaa import REGION

STATES = {"CREATING", "UPDATING", "MAINTENANCE", "ROLLING_BACK", "UNAVAILABLE", "CREATING_SNAPSHOT"}


# --- the rehearsal ---


def test_the_first_deployment_updates_once_and_then_brings_the_dags(account: Account, repository: Repository) -> None:
    at_update: list[set[str]] = []
    account.mwaa.on_update = lambda: at_update.append(set(account.dags()))

    said = repository.deploy()

    assert at_update == [set(repository.constraints())]  # which requirements.txt names, and nothing else
    assert account.dags() == repository.dags()
    assert account.library() == "VERSION = 1\n"
    assert account.pinned("requirements.txt").endswith(b"pyarrow\n")
    assert b"export ATHENA_REPORTS_BUCKET=company-reports\n" in account.pinned("startup.sh")
    states = [line.split()[-1] for line in said if " min  " in line]
    assert states == ["AVAILABLE", "UPDATING", "AVAILABLE"]
    assert said[-1].startswith(f"{NAME} has {repository.git('rev-parse', 'HEAD')}, deployed 2")


def test_a_deployment_without_a_change_does_nothing(account: Account, deployed: Repository) -> None:
    before = account.everything()

    said = deployed.deploy()

    assert said[-1] == "nothing has to be changed"
    assert account.everything() == before
    assert account.mwaa.updates == []


def test_changed_sql_is_written_without_an_update(account: Account, deployed: Repository) -> None:
    before = dict(account.everything())
    deployed.write("include/sql/plays.sql", "SELECT 2\n")

    deployed.deploy()

    assert account.mwaa.updates == []
    assert account.dags() == deployed.dags()
    changed = {key for key, version in dict(account.everything()).items() if before.get(key) != version}
    assert changed <= {"dags/include/sql/plays.sql", f"athena-reports/{NAME}.json"}


def test_a_changed_library_is_one_update_before_the_dags_that_need_it(account: Account, deployed: Repository) -> None:
    requirements = account.mwaa.environments[NAME]["RequirementsS3ObjectVersion"]
    deployed.change_library(2)
    deployed.write("dags/plays.py", "# airflow dag, by version 2\n")
    at_update: list[bytes] = []
    account.mwaa.on_update = lambda: at_update.append(account.dags()["plays.py"])

    deployed.deploy()

    assert at_update == [b"# airflow dag\n"]
    assert account.dags()["plays.py"] == b"# airflow dag, by version 2\n"
    assert account.library() == "VERSION = 2\n"
    (arguments,) = account.mwaa.updates
    assert arguments["RequirementsS3ObjectVersion"] == requirements  # uploaded once, pinned again


@pytest.mark.parametrize("shows_requested", [False, True])
def test_a_failed_update_leaves_the_dags_alone_and_the_next_one_mends_it(
    account: Account, deployed: Repository, shows_requested: bool
) -> None:
    dags = account.dags()
    deployed.change_library(2)
    deployed.write("dags/plays.py", "# airflow dag, by version 2\n")
    deployed.write("deploy/constraints.txt", "pyarrow==26.0.0\n")
    account.mwaa.fails_with = "Unable to install requirements"
    account.mwaa.shows_requested = shows_requested

    with pytest.raises(UpdateFailedError, match=r"UPDATE_FAILED, .*Unable to install.*as they were"):
        deployed.deploy()
    assert account.dags() == dags | deployed.constraints()

    deployed.deploy()
    assert len(account.mwaa.updates) == 2
    assert account.dags() == deployed.dags()
    assert account.library() == "VERSION = 2\n"


def test_the_first_update_that_fails_leaves_no_dags(account: Account, repository: Repository) -> None:
    account.mwaa.fails_with = "The role may not read the bucket"
    with pytest.raises(UpdateFailedError, match="may not read the bucket"):
        repository.deploy()
    assert account.dags() == repository.constraints()


def test_an_update_that_does_not_end_is_given_up_without_the_dags(
    account: Account, deployed: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment_module, "_LIMIT_SECONDS", -1)
    dags = account.dags()
    deployed.change_library(2)
    deployed.write("dags/plays.py", "# airflow dag, by version 2\n")

    with pytest.raises(RolloutError, match=r"still AVAILABLE after 0 minutes.*run the same command again"):
        deployed.deploy()

    assert account.dags() == dags
    account.mwaa.settle(NAME)
    deployed.deploy()
    assert len(account.mwaa.updates) == 1
    assert account.dags() == deployed.dags()


def test_a_rollback_brings_back_dags_then_library_and_goes_further_back_each_time(
    account: Account, deployed: Repository
) -> None:
    releases = [deployed.dags()]
    for version in (2, 3):
        deployed.change_library(version)
        deployed.write("dags/plays.py", f"# airflow dag, by version {version}\n")
        deployed.write(f"dags/new_in_{version}.py", "# airflow dag\n")
        releases.append(deployed.dags())
        deployed.deploy()
    account.mwaa.updates.clear()
    at_update: list[dict[str, bytes]] = []
    account.mwaa.on_update = lambda: at_update.append(account.dags())

    for release, library in ((1, 2), (0, 1)):
        deployed.roll_back()
        assert account.dags() == releases[release]
        assert at_update.pop().items() >= releases[release].items()
        assert account.library() == f"VERSION = {library}\n"
    assert len(account.mwaa.updates) == 2
    with pytest.raises(RolloutError, match="No release of reports-stg is known"):
        deployed.roll_back()
    deployed.deploy()
    assert account.dags() == deployed.dags()
    assert account.library() == "VERSION = 3\n"


@pytest.mark.parametrize("fails_with", ["", "No"])
def test_a_pinned_requirements_txt_always_finds_the_constraints_it_was_written_with(
    account: Account, deployed: Repository, fails_with: str
) -> None:
    """A worker can start at any time, and reads both; so also while an update runs, or after one failed."""
    seen: list[bool] = []

    def look() -> None:
        for version in versions():
            named = account.s3.get_object(Bucket=BUCKET, Key="requirements.txt", VersionId=version)["Body"].read()
            name = named.decode().split('"')[1].removeprefix("/usr/local/airflow/dags/")
            seen.append(hashlib.sha256(account.dags()[name]).hexdigest()[:8] in name)

    def versions() -> set[str]:
        pinned = "RequirementsS3ObjectVersion"
        asked = account.mwaa.updates[-1:]
        return {each[pinned] for each in (account.mwaa.environments[NAME], *asked)}

    account.mwaa.on_update = look
    deployed.write("deploy/constraints.txt", "pyarrow==26.0.0\n")
    deployed.deploy()
    account.mwaa.fails_with = fails_with
    if fails_with:
        with pytest.raises(UpdateFailedError):
            deployed.roll_back()
        look()
        assert set(deployed.constraints()) <= set(account.dags())  # what still runs
    deployed.roll_back()
    look()
    assert all(seen)
    assert len([path for path in account.dags() if path.startswith("constraints")]) == 1


def test_a_rollback_of_sql_needs_no_update(account: Account, deployed: Repository) -> None:
    deployed.write("include/sql/plays.sql", "SELECT 2\n")
    deployed.deploy()

    deployed.roll_back()

    assert account.dags()["include/sql/plays.sql"] == b"SELECT 1\n"
    assert account.mwaa.updates == []


def test_after_a_failed_update_a_rollback_restores_the_last_release(account: Account, deployed: Repository) -> None:
    dags = account.dags()
    deployed.change_library(2)
    account.mwaa.fails_with = "No"
    account.mwaa.shows_requested = True
    with pytest.raises(UpdateFailedError):
        deployed.deploy()

    deployed.roll_back()

    assert account.library() == "VERSION = 1\n"
    assert account.dags() == dags
    assert account.mwaa.environments[NAME]["Status"] == "AVAILABLE"


# --- what only a dry run says ---


def test_a_dry_run_says_what_the_deployment_then_does_and_changes_nothing(
    account: Account, deployed: Repository
) -> None:
    deployed.change_library(2)
    deployed.write("dags/new.py", "# airflow dag\n")
    deployed.write("deploy/constraints.txt", "pyarrow==26.0.0\n")
    deployed.remove("dags/flights.py")
    before = account.everything()
    (earlier,) = [path for path in account.dags() if path.startswith("constraints")]
    (later,) = deployed.constraints()

    said = deployed.deploy(dry_run=True)

    plan = [line for line in said if line.split()[0] in ("upload", "put", "update", "remove", "record")]
    assert plan == [
        f"upload  s3://{BUCKET}/plugins.zip",
        f"upload  s3://{BUCKET}/requirements.txt",
        f"put     s3://{BUCKET}/dags/{later}",
        f"update  {NAME}, of 20 minutes or more: plugins.zip, requirements.txt",
        f"put     s3://{BUCKET}/dags/new.py",
        f"remove  s3://{BUCKET}/dags/flights.py",
        f"remove  s3://{BUCKET}/dags/{earlier}",
        f"record  s3://{BUCKET}/athena-reports/{NAME}.json",
    ]
    assert account.everything() == before
    assert account.mwaa.updates == []
    deployed.deploy()
    changed = {key for key, _ in set(account.everything()) - set(before)}
    named = {line.split(f"s3://{BUCKET}/")[1] for line in plan if "s3://" in line}
    assert changed == named

    before = account.everything()
    said = deployed.roll_back(dry_run=True)
    assert f"put     s3://{BUCKET}/dags/flights.py" in said
    assert f"remove  s3://{BUCKET}/dags/new.py" in said
    assert f"update  {NAME}, of 20 minutes or more: plugins.zip, requirements.txt" in said
    assert not [line for line in said if line.startswith("upload")]  # the versions are there
    assert account.everything() == before


# --- what others have in the bucket ---


def test_files_of_others_are_never_touched(account: Account, deployed: Repository) -> None:
    theirs = {"theirs.py": b"# theirs", "include/sql/theirs.sql": b"SELECT 0", "team/a.py": b"# theirs too"}
    for path, content in theirs.items():
        account.put(f"dags/{path}", content)
    deployed.remove("dags/flights.py")
    deployed.change_library(2)

    deployed.deploy()
    assert account.dags() == deployed.dags() | theirs
    deployed.roll_back()
    assert account.dags() == deployed.dags() | theirs | {"flights.py": b"# airflow dag\n"}


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("dags/.airflowignore", None),
        ("shared/plugins.zip", "PluginsS3"),
        ("shared/requirements.txt", "RequirementsS3"),
        ("shared/startup.sh", "StartupScriptS3"),
    ],
)
def test_what_an_environment_has_already_is_replaced_on_demand_only(
    account: Account, repository: Repository, key: str, field: str | None
) -> None:
    version = account.put(key, b"what others rely on")
    if field:
        account.mwaa.environments[NAME] |= {f"{field}Path": key, f"{field}ObjectVersion": version}
    before = account.everything()

    with pytest.raises(RolloutError, match=rf"{key.removeprefix('shared/')}: what is there .*REPLACE=1"):
        repository.deploy()
    assert account.everything() == before
    assert account.mwaa.updates == []

    repository.deploy(replace_others=True)
    assert account.dags() == repository.dags()
    if field:
        assert account.mwaa.environments[NAME][f"{field}Path"] == key
        assert account.mwaa.environments[NAME][f"{field}ObjectVersion"] != version


def test_a_rollback_replaces_what_others_have_put_in_its_way_on_demand_only(
    account: Account, deployed: Repository
) -> None:
    before = deployed.dags()
    deployed.remove("dags/flights.py")
    deployed.deploy()
    account.put("dags/flights.py", b"# theirs")
    there = account.everything()

    with pytest.raises(RolloutError, match=r"dags/flights\.py: what is there .*REPLACE=1"):
        deployed.roll_back()
    assert account.everything() == there

    deployed.roll_back(replace_others=True)
    assert account.dags() == before


def test_what_somebody_changed_in_our_files_is_put_right(account: Account, deployed: Repository) -> None:
    account.put("dags/plays.py", b"# mended in the console")
    account.s3.delete_object(Bucket=BUCKET, Key="dags/flights.py")
    account.put("plugins.zip", b"uploaded, and not pinned by any environment")

    deployed.deploy()

    assert account.dags() == deployed.dags()
    assert account.mwaa.updates == []


def test_other_keys_and_prefixes_of_the_environment_are_kept(account: Account, repository: Repository) -> None:
    account.mwaa.environments[NAME] |= {"DagS3Path": "airflow/dags/", "PluginsS3Path": "airflow/p.zip"}

    repository.deploy()

    keys = {key for key, _ in account.everything()}
    assert {f"airflow/dags/{path}" for path in repository.dags()} | {"airflow/p.zip"} <= keys
    assert account.mwaa.environments[NAME]["PluginsS3Path"] == "airflow/p.zip"
    assert account.dags() == {}


# --- what is refused ---


def refused(account: Account, repository: Repository, error: type[DeployError], message: str) -> None:
    before = account.everything()
    with pytest.raises(error, match=message):
        repository.deploy()
    assert account.everything() == before
    assert account.mwaa.updates == []


def test_another_account_is_refused(account: Account, repository: Repository) -> None:
    repository.target(account="999999999999")
    refused(account, repository, TargetError, r"account 123456789012 .* is in 999999999999: .*AWS_PROFILE")


def test_an_environment_that_is_not_there_is_refused(account: Account, repository: Repository) -> None:
    repository.target(mwaa_environment="reports-prd")
    refused(account, repository, TargetError, f"no MWAA environment 'reports-prd' in {REGION}")


@pytest.mark.parametrize("status", sorted(STATES))
def test_a_busy_environment_is_refused(account: Account, repository: Repository, status: str) -> None:
    account.mwaa.environments[NAME]["Status"] = status
    refused(account, repository, RolloutError, f"reports-stg is {status}. Nothing was changed")


def test_an_old_airflow_is_refused(account: Account, repository: Repository) -> None:
    account.mwaa.environments[NAME]["AirflowVersion"] = "2.10.3"
    refused(account, repository, TargetError, r"Airflow 2\.10\.3; this package needs 3\.2\.1")


def test_a_bucket_without_versions_is_refused(account: Account, repository: Repository) -> None:
    account.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    refused(account, repository, TargetError, "does not keep versions")


def test_missing_settings_are_refused(account: Account, repository: Repository) -> None:
    repository.write("deploy/environments/stg.env", "")
    refused(account, repository, RolloutError, r"ATHENA_REPORTS_QUERY_RESULTS is not set.*stg\.env")


def test_a_bundle_that_fails_its_check_is_not_uploaded(account: Account, repository: Repository) -> None:
    checked: list[str] = []

    def fail(version: str) -> None:
        checked.append(version)
        raise RolloutError("no DAG came of it")

    with pytest.raises(RolloutError, match="no DAG came of it"):
        repository.deploy(check=fail)
    assert checked == ["3.3.1"]
    assert account.everything() == []


@pytest.mark.parametrize("change", ["untracked", "ignored", "modified", "no git"])
def test_an_environment_can_take_only_what_is_committed(account: Account, repository: Repository, change: str) -> None:
    repository.target(committed_only=True)
    repository.write(".gitignore", "*.log\n__pycache__/\nlogs/\nother.env\n.env\n")
    commit = repository.commit()
    for path in ("dags/__pycache__/plays.pyc", "deploy/environments/other.env", "dags/.env", "pip.log"):
        repository.write(path, "ignored, and not shipped")
    repository.deploy(dry_run=True)
    if change == "untracked":
        repository.write("dags/new.py", "# airflow dag\n")
    elif change == "ignored":
        repository.write("plugins/library/logs/rows.py", "")
    elif change == "modified":
        repository.write("dags/plays.py", "# airflow dag, changed\n")
    else:
        (repository.folder / ".git").rename(repository.folder.parent / "git")
    refused(account, repository, RolloutError, "only what is")

    repository.target(committed_only=False)
    said = repository.deploy(dry_run=True)
    assert any("without git" in line if change == "no git" else f"{commit} with changes" in line for line in said)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "make deploy-guided ENV=stg"),
        ("{", "does not describe a target"),
        ('{"region": "eu-central-1"}', "does not describe a target"),
        (
            '{"region": "Frankfurt", "account": "1", "mwaa_environment": "a", "committed_only": true}',
            "region is",
        ),
    ],
)
def test_a_target_that_is_missing_or_wrong_is_refused(
    account: Account, repository: Repository, text: str | None, message: str
) -> None:
    if text is None:
        repository.remove("deploy/environments/stg.json")
    else:
        repository.write("deploy/environments/stg.json", text)
    refused(account, repository, TargetError, message)


def test_a_release_whose_versions_are_gone_is_not_restored(account: Account, deployed: Repository) -> None:
    journal = json.loads(account.s3.get_object(Bucket=BUCKET, Key=f"athena-reports/{NAME}.json")["Body"].read())
    version = journal["releases"][-1]["files"]["dags/plays.py"]["version"]
    deployed.write("dags/plays.py", "# airflow dag, changed\n")
    deployed.deploy()
    account.s3.delete_object(Bucket=BUCKET, Key="dags/plays.py", VersionId=version)
    before = account.everything()

    with pytest.raises(RolloutError, match=r"dags/plays\.py has no version .* Nothing was changed"):
        deployed.roll_back()
    assert account.everything() == before


def test_of_two_deployments_at_once_one_is_refused(
    account: Account, deployed: Repository, make_repository: Callable[[str], Repository]
) -> None:
    other = make_repository("two")
    other.write("dags/plays.py", "# airflow dag, of the other\n")
    deployed.write("dags/plays.py", "# airflow dag, of the one\n")

    with pytest.raises(RolloutError, match="Somebody else deploys to reports-stg"):
        deployed.deploy(check=lambda _: other.deploy() and None)

    assert account.dags() == other.dags()
    deployed.deploy()
    assert account.dags() == deployed.dags()


CHANGES_DURING_THE_CHECK: dict[str, Callable[[Account], object]] = {
    "of others below dags": lambda account: account.put("dags/flights.py", b"# theirs"),
    "what is pinned": lambda account: account.mwaa.environments[NAME].update(
        PluginsS3Path="plugins.zip", PluginsS3ObjectVersion=account.put("plugins.zip", b"theirs")
    ),
    "an upgrade": lambda account: account.mwaa.environments[NAME].update(AirflowVersion="3.4.0"),
    "another folder": lambda account: account.mwaa.environments[NAME].update(DagS3Path="elsewhere"),
    "an update": lambda account: account.mwaa.environments[NAME].update(Status="UPDATING"),
}


@pytest.mark.parametrize("change", CHANGES_DURING_THE_CHECK)
def test_what_changes_during_the_check_stops_the_deployment(
    account: Account, deployed: Repository, change: str
) -> None:
    deployed.write("dags/plays.py", "# airflow dag, changed\n")
    after: list[tuple[str, str]] = []

    def check(_: str) -> None:
        CHANGES_DURING_THE_CHECK[change](account)
        after.extend(account.everything())

    with pytest.raises(RolloutError, match=r"changed during the check|is UPDATING\. Nothing was changed"):
        deployed.deploy(check=check)
    assert account.everything() == after
    assert account.mwaa.updates == []


# --- the plan alone ---

PATHS = [*ARTIFACTS, "dags/a.py", "dags/b.sql", "dags/constraints-0123abcd.txt"]
CONTENTS = st.sampled_from("xyz")


def environment(*, failed: bool) -> Environment:
    pins = {path: Pin(path, "pinned") for path in ARTIFACTS}
    status = "UPDATE_FAILED" if failed else "AVAILABLE"
    return Environment("e", status, "3.3.1", "bucket", "dags/", pins, "", None, "")


@given(
    wanted=st.fixed_dictionaries(dict.fromkeys(PATHS, CONTENTS)),
    there=st.dictionaries(st.sampled_from(PATHS), CONTENTS),
    running=st.dictionaries(st.sampled_from(ARTIFACTS), CONTENTS),
    known=st.dictionaries(st.sampled_from(PATHS), CONTENTS),
    failed=st.booleans(),
    dags_first=st.booleans(),
)
def test_what_a_plan_leaves_is_what_is_wanted(
    wanted: dict[str, str],
    there: dict[str, str],
    running: dict[str, str],
    known: dict[str, str],
    failed: bool,
    dags_first: bool,
) -> None:
    """By playing the plan: it changes what is wrong and nothing else."""
    journal = Journal((Release("c", "at", "by", {path: Stored(sha, "v") for path, sha in known.items()}),))
    plan = make_plan(
        wanted,
        environment(failed=failed),
        {path: Stored(sha, f"there-{sha}") for path, sha in there.items()},
        {path: Stored(sha, f"runs-{sha}") for path, sha in running.items()},
        journal,
        {},
        dags_first=dags_first,
    )

    assert bool(plan.updates) == (failed or any(running.get(path) != wanted[path] for path in ARTIFACTS))
    for path in ARTIFACTS:
        version = plan.pins[path].version
        assert version.endswith(wanted[path]) if version else path in plan.uploads
    written = {*plan.early, *plan.writes}
    assert written == {path for path in PATHS[3:] if there.get(path) != wanted[path]}
    assert {*plan.kept} | written == set(PATHS[3:])
    for path in written & there.keys():
        assert (path in plan.taken) == (path not in known)
    assert not plan.early or plan.early == ("dags/constraints-0123abcd.txt",)
