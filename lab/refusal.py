"""Refusal: what the lab's own rules do not allow, told apart from every fault by its type."""


class Refused(ValueError):
    """The lab was asked for something that its rules refuse: the message says the rule, what was received, and what to ask instead.

    Everything else that is raised (by a method, a model or a library, ValueErrors of theirs included) is a fault.
    """
