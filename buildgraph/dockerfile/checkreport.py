"""How are the findings of a check shown? As text, as ``docker build --check`` does, or as BuildKit's JSON document."""

from buildgraph.dockerfile.check import Report
from buildgraph.dockerfile.outline import Json, location_document
from buildgraph.dockerfile.source import Lines

_RULE = "-" * 20


def report_text(report: Report) -> str:
    """Each finding with its lines; the first line counts them. The error of a report is not in it, and without findings
    nothing is complete then."""
    count = len(report.findings)
    if report.error is not None and not count:
        return ""
    found = "1 warning has" if count == 1 else f"{count} warnings have"
    parts = [
        f"Check complete, {found} been found!\n"
        if count
        else "Check complete, no warnings found.\n"
    ]
    for each in report.findings:
        title = f"WARNING: {each.rule.name}"
        lines = [
            f"{title} - {each.rule.url}" if each.rule.url else title,
            each.message,
            f"{each.location}",
            _RULE,
            each.location.excerpt,
            _RULE,
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def report_document(report: Report) -> dict[str, Json]:
    found: dict[str, Json] = {
        "warnings": [
            {
                "ruleName": each.rule.name,
                "description": each.rule.description,
                "url": each.rule.url,
                "detail": each.message,
                "location": location_document(each.where),
            }
            for each in report.findings
        ]
    }
    error = report.error
    if error is not None:
        found["buildError"] = {"message": error.message}
        if error.where is not None and error.where.line:
            where = Lines(error.where.line, error.where.last or error.where.line)
            found["buildError"] = {"message": error.message, "location": location_document(where)}
    return found
