#!/usr/bin/env bash
# Runs docker-compose.yaml, compose.aws.yaml and a project of `athena-reports init` in containers, each until its reports are
# published, by the commands of docs/how-to/run-in-containers.md and of the project's README. It ends what it starts.
# It needs Docker with Compose and `make setup`, and takes the last commit.
#
#   dev/containers/run.sh [repository | account | project]    by default all three, one after the other
set -euo pipefail
umask 077 # with files that only their user may read
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
work=$(mktemp -d)

main() {
    trap end EXIT
    base_images
    for part in ${1:-repository account project}; do
        echo "--- $part"
        (
            cd "$work"
            "in_$part"
        )
        down
    done
}

end() {
    local code=$?
    [ $code = 0 ] || docker ps --all --quiet --filter label=com.docker.compose.project | xargs --no-run-if-empty -n 1 docker logs --tail 50 || true
    down
    rm -rf "$work"
}

# By the names of the projects: without their files and variables.
down() {
    for project in athena-reports athena-reports-aws my-reports; do
        docker compose --project-directory "$work" --project-name "$project" down --volumes --remove-orphans
    done
}

base_images() {
    local image stage
    for image in $(grep -oE '(apache/airflow|postgres|redis):[a-z0-9.-]+' "$repository/docker-compose.yaml"); do
        if docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image"; then continue; fi
        stage=${image%%:*}
        docker build --file "$here/Dockerfile" --target "${stage#apache/}" --tag "$image" \
            --build-arg "AIRFLOW=$(airflow_version)" --build-context certificates=/etc/ssl/certs "$repository"
    done
}

in_repository() {
    clone athena-reports
    run_commands_of docs/how-to/run-in-containers.md "# Run in Docker containers"
    expect_published user_ranking/weekly/2025-06-{01,08,15,22} user_ranking/monthly/2025-06
    expect_own_files
    docker restart $(docker compose ps --quiet) # as after a reboot, in no order
    docker compose up --wait
    expect_published
    docker compose run --rm athena-reports run user_ranking_weekly 2025-06-22
    expect_published user_ranking/weekly/2025-06-22
}

# The local services play the account.
in_account() {
    clone account
    echo ATHENA_REPORTS_BUCKET=athena-query-result-dev >>deploy/environments/dev.env # a bucket that is not the default one
    aws() { printf 'export %s=account\n' AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; }
    sed -i "s|^\(.*COMPOSE_FILE=.*compose.aws.yaml\)$|\1:dev/containers/account.yaml|" docs/how-to/run-in-containers.md
    grep -q ':dev/containers/account.yaml$' docs/how-to/run-in-containers.md || fail "No COMPOSE_FILE in docs/how-to/run-in-containers.md"
    run_commands_of docs/how-to/run-in-containers.md "## In an AWS account"
    bucket=athena-query-result-dev expect_published user_ranking/weekly/2025-06-22
}

in_project() {
    make --directory "$repository" build
    "$repository/.venv/bin/uv" venv --quiet --python "$repository/.venv/bin/python"
    "$repository/.venv/bin/uv" pip install --quiet --find-links "$repository/dist" \
        "$(ls "$repository"/dist/athena_reports_cli-*.whl)[mwaa]" "apache-airflow==$(airflow_version)"
    .venv/bin/athena-reports init my-reports --report best_users --table plays --ranked user_id --time played_at \
        --since 2025-06-01 --timezone Asia/Tokyo --owner analytics
    cd my-reports
    {
        echo user_id,played_at
        for day in {0..80}; do date --date "2025-05-20 $day days" "+user$((day % 7)),%F 12:00:00"; done
    } >plays.csv
    run_commands_of README.md "## Run in containers"
    expect_published best_users/weekly/2025-{06-02,06-09,06-16,06-23,06-30} best_users/monthly/2025-0{6,7}
    expect_own_files
}

airflow_version() {
    sed -nE 's|.*FROM apache/airflow:([0-9.]+)-.*|\1|p' "$repository/docker-compose.yaml"
}

clone() {
    git clone --quiet "$repository" "$1"
    cd "$1"
}

# In this shell, for its variables: PAGE HEADING
run_commands_of() {
    local commands
    commands=$(sed -n "/^$2\$/,/^## /s/^\\\$ //p" "$1")
    [ -n "$commands" ] || fail "No commands below '$2' in $1"
    eval "$commands"
}

fail() {
    echo "$1" >&2
    exit 1
}

# The report bucket has exactly these periods: [REPORT/CADENCE/PERIOD]...
expect_published() {
    diff <([ $# = 0 ] || printf '%s/manifest.json\n' "$@" | sort) \
        <(curl --silent --show-error "http://localhost:4566/${bucket:-athena-report-dev}?list-type=2" |
            grep -oE '[^>]+/manifest\.json' | sort)
}

# The containers have left no file of root's.
expect_own_files() {
    [ -z "$(find . ! -user "$(id -u)" -print -quit)" ]
}

main "$@"
