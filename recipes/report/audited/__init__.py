"""Audited: the pictures that checks of an audit bring to the page, a module for each, with `figures(evidence)`."""
