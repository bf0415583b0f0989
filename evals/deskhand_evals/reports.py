"""All forms of a report in one place."""

from deskhand_evals.html import html_page, sweep_page
from deskhand_evals.junit import junit_xml
from deskhand_evals.markdown import github_annotations, markdown

__all__ = ["github_annotations", "html_page", "junit_xml", "markdown", "sweep_page"]
