"""Audit: may this network be used? Questions about its reasons, failures, data, proxies and groups, each with its own checks.

A check of an audit takes an `AuditSubject` and gives Evidence, one record for each thing that it speaks of. Its tag `question`
names the question that it belongs to.
"""
