"""
# Maintenance of the reports, as Airflow DAGs

They stop queries that nobody waits for, report provisional periods again, and list old versions.
"""

from athena_reports import build_cleanup, build_reconciler, build_restatement

athena_reports_reconciler = build_reconciler(doc=__doc__)
athena_reports_restatement = build_restatement(doc=__doc__)
athena_reports_cleanup = build_cleanup(doc=__doc__)
