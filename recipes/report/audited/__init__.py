"""Audited: figures of checks of an audit, one file a check: figures(evidence) -> list of (title, SVG text)."""
