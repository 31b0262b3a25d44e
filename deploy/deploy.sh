#!/usr/bin/env bash
# Deploys an environment to Amazon MWAA, in the account and region of the shell's AWS credentials.
#
#   bash deploy/deploy.sh ENVIRONMENT [--create] [--no-check]
#
# --create creates the stack first. Without it, an account or a region without the stack is refused.
# --no-check skips the check in a twin of MWAA's image, which takes minutes.
#
# It needs the commands athena-reports, aws and sam. deploy/environments/ENVIRONMENT.yaml has the parameters of the stack.
set -euo pipefail
shopt -s inherit_errexit 2>/dev/null || { echo "This script requires bash 4.4 or later." >&2; exit 2; }
export LC_ALL=C
cd "$(dirname "$0")/.."

create=no check=yes
environment=${1:?Usage: bash deploy/deploy.sh ENVIRONMENT [--create] [--no-check]}
shift
for option in "$@"; do
    case $option in
        --create) create=yes ;;
        --no-check) check=no ;;
        *) echo "Unknown option $option" >&2; exit 2 ;;
    esac
done
parameters=deploy/environments/$environment.yaml
stack=athena-reports-$environment
bundle=dist/mwaa

# Changes the stack by its parameters; others keep their values. Further arguments are the versions of the bundle.
deploy_stack() {
    sam deploy --template-file "$bundle/stack.yaml" --stack-name "$stack" --capabilities CAPABILITY_IAM \
        --no-confirm-changeset --no-fail-on-empty-changeset --max-wait-duration 180 \
        --parameter-overrides "file://$parameters" "Environment=$environment" "$@"
}

describe_stack() {
    aws cloudformation describe-stacks --stack-name "$stack" --output text --query "$1"
}

# Prints the S3 version of a file of the bundle. Unchanged content keeps its version: a new one updates Airflow for 20 minutes.
upload() {
    local checksum stored
    checksum=$(openssl dgst -sha256 -binary "$bundle/$1" | base64)
    stored=$(aws s3api head-object --bucket "$bucket" --key "$1" --checksum-mode ENABLED \
        --output text --query '[ChecksumSHA256, VersionId]' 2>/dev/null) || stored=
    case $stored in
        "$checksum"?*) echo "$stored" | cut -f 2 ;;
        *) aws s3api put-object --bucket "$bucket" --key "$1" --body "$bundle/$1" --checksum-algorithm SHA256 \
            --output text --query VersionId ;;
    esac
}

# 1. The bundle, checked.
version=$(sed -n "s/^AirflowVersion: *[\"']\{0,1\}\([0-9.]*\).*/\1/p" "$parameters")
if [ "$check" = yes ]; then
    athena-reports mwaa-check --env "$environment" --version "${version:?$parameters has no AirflowVersion}"
else
    athena-reports bundle --env "$environment"
fi

# 2. The stack, without which there is no bucket. What has a name or holds the history of runs is never replaced.
if [ "$create" = yes ]; then
    deploy_stack
fi
bucket=$(describe_stack "Stacks[0].Outputs[?OutputKey=='MwaaBucket'].OutputValue")
aws cloudformation set-stack-policy --stack-name "$stack" --stack-policy-body "file://$bundle/stack-policy.json"
aws cloudformation update-termination-protection --stack-name "$stack" --enable-termination-protection >/dev/null

# 3. What Airflow pins by its version, and then Airflow. startup.sh exports the names in AWS first: ENVIRONMENT.env wins.
describe_stack "Stacks[0].Outputs[?starts_with(Description, 'ATHENA_REPORTS_')].[join('=', [Description, OutputValue])]" |
    sed 's/^/export /' | cat - "$bundle/startup.sh" > "$bundle/startup.new"
mv "$bundle/startup.new" "$bundle/startup.sh"
plugins=$(upload plugins.zip)
requirements=$(upload requirements.txt)
startup=$(upload startup.sh)
deploy_stack "PluginsVersion=$plugins" "RequirementsVersion=$requirements" "StartupVersion=$startup"

# 4. dags/, which needs these plugins: SQL before the DAG files that read it.
aws s3 cp --recursive --only-show-errors "$bundle/dags/include" "s3://$bucket/dags/include"
aws s3 cp --recursive --only-show-errors "$bundle/dags" "s3://$bucket/dags"

# 5. Files of earlier deployments that are gone. Those of others stay: deployed/ lists what was deployed from here.
mkdir -p "$bundle/deployed"
aws s3 sync --only-show-errors "s3://$bucket/deployed" "$bundle/deployed"
(cd "$bundle" && find dags -type f | sort) > "$bundle/dags.txt"
touch "$bundle/deployed/dags.txt"
comm -13 "$bundle/dags.txt" "$bundle/deployed/dags.txt" | while read -r path; do
    aws s3 rm "s3://$bucket/$path"
done
aws s3 cp --only-show-errors "$bundle/dags.txt" "s3://$bucket/deployed/dags.txt"
echo "$environment is deployed."
