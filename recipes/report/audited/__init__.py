"""Audited: pictures of what a check of an audit found, one module a check: figures(evidence) -> [(title, svg)]."""
