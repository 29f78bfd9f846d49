"""Registry: functions that are found by their own name."""

import difflib
import importlib
import inspect
import sys
import threading

from lab.refusal import Refused


def nearest(name, choices):
    """The choices most like a name, as the end of an error message: str.

    Args:
        name: str, the name that is unknown.
        choices: the known names.

    Returns:
        str, a sentence with at most eight names.
    """
    choices = [str(choice) for choice in choices]
    close = difflib.get_close_matches(str(name), choices, n=3, cutoff=0.4) or sorted(choices)[:8]
    return f"Nearest: {', '.join(close)}." if close else "There are none."


class Registry:
    """Functions of one kind (`noun`), each under its own `__name__`, with their tags.

    Args:
        noun: str, what the functions are.
        modules: `() -> names of modules` that register some, imported when the first function is looked up; None: whoever
            makes the registry imports them.

    Raises:
        Refused: for an unknown name, with the nearest valid ones.
    """

    def __init__(self, noun, modules=None):
        self.noun = noun
        self._registered = {}
        self._tags = {}
        self._modules, self._importing = modules, threading.RLock()

    def register(self, function=None, **tags):
        """Decorator that adds a function under its own name, with optional tags.

        The tag `library` puts the name of another library before it: "tf_explain.gradcam". The tag `name` replaces its own name.

        Args:
            function: the function; None: the call only gives tags, and returns the decorator.
            tags: values that `tag` gives back.

        Returns:
            the function.

        Raises:
            Refused: for a name that is taken.
        """
        if function is None:
            return lambda waiting: self.register(waiting, **tags)
        name = ".".join([*([tags["library"]] if "library" in tags else []), tags.get("name") or function.__name__])
        if name in self._registered:
            raise Refused(f"Each {self.noun} has a name of its own. Received: {name!r} twice.")
        self._registered[name] = function
        self._tags[name] = tags
        return function

    @property
    def _functions(self):
        """The functions by name, in the order of their modules."""
        with self._importing:
            if self._modules is not None:
                # Without them meanwhile, since a module may look something up while it is imported.
                waiting, self._modules = self._modules, None
                try:
                    self._import(list(waiting()))
                except BaseException:
                    self._modules = waiting
                    raise
        return self._registered

    def _import(self, modules):
        # What a module registered whose import failed before: it is imported anew.
        gone = [
            name for name, function in self._registered.items() if function.__module__ in {*modules} - {*sys.modules}
        ]
        for name in gone:
            del self._registered[name], self._tags[name]
        for module in modules:
            importlib.import_module(module)
        places = {module: place for place, module in enumerate(modules)}
        # One that was imported before, by its own name, may have come first.
        in_order = sorted(self._registered.items(), key=lambda item: places.get(item[1].__module__, len(modules)))
        self._registered = dict(in_order)

    def get(self, name):
        """The function of that name; a callable is returned as it is."""
        if callable(name):
            return name
        if name not in self._functions:
            raise Refused(f"Unknown {self.noun}. Received: {name!r}. {nearest(name, self._functions)}")
        return self._functions[name]

    def names(self, **tags):
        """The registered names, in order; with tags, those that carry them: list of str."""
        return [
            name for name in self._functions if all(self._tags[name].get(tag) == value for tag, value in tags.items())
        ]

    def name(self, function):
        """The name that a function is registered under; "module:function" for an external one."""
        known = next((name for name, registered in self._functions.items() if registered is function), None)
        return known or f"{getattr(function, '__module__', '?')}:{getattr(function, '__name__', repr(function))}"

    def tag(self, function, tag, default=None):
        """The value of a registered function's tag; the default where it has none or is not registered.

        Args:
            function: a registered function, or any other.
            tag: str, the name of the tag.
            default: the value where there is none.

        Returns:
            the value.
        """
        return self._tags.get(self.name(function), {}).get(tag, default)

    def __iter__(self):
        return iter(self._functions)

    def __contains__(self, name):
        return name in self._functions


def options(function):
    """The keyword-only options of a function: dict of name to default (`inspect.Parameter.empty` where required)."""
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def summary(function):
    """First line of a function's docstring: str."""
    return (inspect.getdoc(function) or "").split("\n")[0]
