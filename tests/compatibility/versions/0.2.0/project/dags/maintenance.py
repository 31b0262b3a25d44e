"""
# Maintenance of the reports, as Airflow DAGs

They report provisional periods again, and list old versions.
"""

from athena_reports import build_cleanup, build_restatement

athena_reports_restatement = build_restatement(doc=__doc__)
athena_reports_cleanup = build_cleanup(doc=__doc__)
