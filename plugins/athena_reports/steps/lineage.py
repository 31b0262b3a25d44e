"""What the tasks of a report tell OpenLineage.

Only the methods that the OpenLineage provider calls import this module. So a task runs without the
provider, and then does not pay for it. Datasets are named by OpenLineage's own rules ("Dataset
Naming"), as AthenaOperator names them.
"""

import re
from collections.abc import Sequence
from typing import Any

from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.generated.base_subset_dataset import (
    InputSubsetInputDatasetFacet,
    OutputSubsetOutputDatasetFacet,
    Partition,
    PartitionSubsetCondition,
)
from openlineage.client.generated.data_quality_assertions_dataset import (
    Assertion,
    DataQualityAssertionsDatasetFacet,
)
from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet
from openlineage.client.generated.external_query_run import ExternalQueryRunFacet
from openlineage.client.generated.schema_dataset import (
    SchemaDatasetFacet,
    SchemaDatasetFacetFields,
)
from openlineage.client.generated.sql_job import SQLJobFacet
from openlineage.client.generated.symlinks_dataset import Identifier, SymlinksDatasetFacet
from openlineage.client.naming.dataset import S3, Athena

from athena_reports.inputs.coverage import InputCoverage
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Version
from athena_reports.rows.checks import CheckResult

_CATALOG = "AwsDataCatalog"  # Athena's name of Glue
_SEVERITIES = {"fail": "error", "warn": "warn"}  # OpenLineage's, by ours
# The value of a key may have a slash in it: the input says how a date is written.
_BETWEEN_KEYS = re.compile("/(?=[^/=]+=)")


def query_lineage(
    sql: str, query_execution_id: str | None, inputs: Sequence[InputCoverage], region: str
) -> OperatorLineage[Any, Any]:
    """Return a query and the tables that it reads. The id is None if the query was not started."""
    lineage: OperatorLineage[Any, Any] = OperatorLineage(job_facets={"sql": SQLJobFacet(sql)})
    if query_execution_id:
        lineage.run_facets["externalQuery"] = ExternalQueryRunFacet(
            query_execution_id, source="awsathena"
        )
    for coverage in inputs:
        database, _, table = coverage.table.partition(".")
        name = Athena(region, coverage.catalog or _CATALOG, database, table)
        facets: dict[str, Any] = {}
        if coverage.is_partitioned:
            facets["subset"] = InputSubsetInputDatasetFacet(_partitions(coverage.present))
        lineage.inputs.append(
            InputDataset(name.get_namespace(), name.get_name(), inputFacets=facets)
        )
    return lineage


def published_dataset(
    version: Version,
    checks: Sequence[CheckResult],
    location: PeriodLocation,
    *,
    database: str | None,
    region: str,
) -> OutputDataset:
    """Return the dataset of a report in a cadence, of which a run publishes one period."""
    fields = []
    for column in version.columns:
        kind = column.glue or column.type
        description = column.description or None
        fields.append(SchemaDatasetFacetFields(column.name, kind, description))
    assertions = [
        Assertion(check.name, check.passed, severity=_SEVERITIES[check.severity])
        for check in checks
    ]
    facets: dict[str, Any] = {
        "schema": SchemaDatasetFacet(fields),
        "version": DatasetVersionDatasetFacet(version.version),
        "dataQualityAssertions": DataQualityAssertionsDatasetFacet(assertions),
    }
    report = location.report
    if database:
        table = Athena(region, _CATALOG, database, report.table_name)
        identifier = Identifier(table.get_namespace(), table.get_name(), "TABLE")
        facets["symlinks"] = SymlinksDatasetFacet([identifier])
    name = S3(report.bucket, report.path)
    period = OutputSubsetOutputDatasetFacet(_partitions([f"period={location.period_id}"]))
    return OutputDataset(
        name.get_namespace(), name.get_name(), facets=facets, outputFacets={"subset": period}
    )


def _partitions(names: Sequence[str]) -> PartitionSubsetCondition:
    partitions = []
    for name in names:
        dimensions = dict(part.split("=", 1) for part in _BETWEEN_KEYS.split(name))
        partitions.append(Partition(dimensions, identifier=name))
    return PartitionSubsetCondition(partitions)
