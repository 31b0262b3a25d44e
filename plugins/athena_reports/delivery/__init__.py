"""A published version reaches the people who wait for it: by mail, in Slack, as a workbook."""
