#!/usr/bin/env bash
# Deploys an environment to Amazon MWAA, in the account and region of the shell's AWS credentials.
#
#   bash deploy/deploy.sh ENVIRONMENT [--create] [--no-check]
#
# --create creates the stack first. Without it, the script fails if the account and region do not have the stack.
# --no-check skips the check in a twin of MWAA's image, which takes minutes.
#
# Requires the commands athena-reports, aws and sam. deploy/environments/ENVIRONMENT.yaml contains the stack's parameters.
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

# Updates the stack with its parameters; others keep their values. Further arguments are the versions of the bundle's files.
deploy_stack() {
    sam deploy --template-file "$bundle/stack.yaml" --stack-name "$stack" --capabilities CAPABILITY_IAM \
        --no-confirm-changeset --no-fail-on-empty-changeset --max-wait-duration 180 \
        --parameter-overrides "file://$parameters" "Environment=$environment" "$@"
}

describe_stack() {
    aws cloudformation describe-stacks --stack-name "$stack" --output text --query "$1"
}

# Uploads a file of the bundle if it changed, and prints its S3 version. A new version requires a 20-minute update of Airflow.
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

# 1. Build and check the bundle.
version=$(sed -n "s/^AirflowVersion: *[\"']\{0,1\}\([0-9.]*\).*/\1/p" "$parameters")
if [ "$check" = yes ]; then
    athena-reports mwaa-check --env "$environment" --version "${version:?$parameters has no AirflowVersion}"
else
    athena-reports bundle --env "$environment"
fi

# 2. Create the stack, which contains the bucket. Never replace named resources, or those with the history of runs.
if [ "$create" = yes ]; then
    deploy_stack
fi
bucket=$(describe_stack "Stacks[0].Outputs[?OutputKey=='MwaaBucket'].OutputValue")
aws cloudformation set-stack-policy --stack-name "$stack" --stack-policy-body "file://$bundle/stack-policy.json"
aws cloudformation update-termination-protection --stack-name "$stack" --enable-termination-protection >/dev/null

# 3. Upload what Airflow pins by version, then update Airflow. startup.sh exports the names in AWS first: ENVIRONMENT.env wins.
describe_stack "Stacks[0].Outputs[?starts_with(Description, 'ATHENA_REPORTS_')].[join('=', [Description, OutputValue])]" |
    sed 's/^/export /' | cat - "$bundle/startup.sh" > "$bundle/startup.new"
mv "$bundle/startup.new" "$bundle/startup.sh"
plugins=$(upload plugins.zip)
requirements=$(upload requirements.txt)
startup=$(upload startup.sh)
deploy_stack "PluginsVersion=$plugins" "RequirementsVersion=$requirements" "StartupVersion=$startup"

# 4. Upload dags/, which needs these plugins: SQL before the DAG files that read it.
aws s3 cp --recursive --only-show-errors "$bundle/dags/include" "s3://$bucket/dags/include"
aws s3 cp --recursive --only-show-errors "$bundle/dags" "s3://$bucket/dags"

# 5. Delete what an earlier deployment uploaded and this one no longer has (deployed/dags.txt lists it). Other files stay.
mkdir -p "$bundle/deployed"
aws s3 sync --only-show-errors "s3://$bucket/deployed" "$bundle/deployed"
(cd "$bundle" && find dags -type f | sort) > "$bundle/dags.txt"
touch "$bundle/deployed/dags.txt"
comm -13 "$bundle/dags.txt" "$bundle/deployed/dags.txt" | while read -r path; do
    aws s3 rm "s3://$bucket/$path"
done
aws s3 cp --only-show-errors "$bundle/dags.txt" "s3://$bucket/deployed/dags.txt"
echo "$environment is deployed."
