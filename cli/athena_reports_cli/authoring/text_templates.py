"""The templates in `templates/`: of a project, of a report, and of Markdown that is printed."""

import json
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from athena_reports.sql.names import sql_name


@cache
def text_templates() -> Environment:
    """Return the templates, with filters for names of SQL and texts of Python."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=StrictUndefined,
        # A report's SQL is a Jinja template itself. These have other delimiters than it has.
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["sql_name"] = sql_name
    # A string of JSON is one of Python too.
    templates.filters["python_text"] = partial(json.dumps, ensure_ascii=False)
    return templates
