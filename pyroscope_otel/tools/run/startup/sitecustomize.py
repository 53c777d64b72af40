"""Runs at the start of each Python process below `pyroscope-otel run`.

The folder of this file comes first on PYTHONPATH. The process may belong to any environment,
so this file must load in all of them, with or without this package.
"""

import os
import sys

_FOLDER = "PYROSCOPE_OTEL_RUN"
_PLUGIN = "pyroscope_otel.tools.run.inside.pytest_plugin"


def _run_the_one_behind() -> None:
    """Run the `sitecustomize` that Python would have found without this one."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    here = os.path.realpath(os.path.dirname(__file__))  # noqa: PTH120  little is imported here
    others = [folder for folder in sys.path if os.path.realpath(folder) != here]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = sys.modules["sitecustomize"] = module_from_spec(spec)
        spec.loader.exec_module(module)


def _set_up() -> None:
    folder = os.environ.get(_FOLDER)
    if not folder:
        return
    try:
        from pyroscope_otel.tools.run.inside import set_up
    except Exception as error:  # even a SyntaxError, in an old Python
        # pytest fails on a plugin that it cannot import.
        plugins = os.environ.get("PYTEST_PLUGINS", "").split(",")
        if _PLUGIN in plugins:
            plugins.remove(_PLUGIN)
            os.environ["PYTEST_PLUGINS"] = ",".join(plugins)
        _print_once(folder, error)
    else:
        set_up()


def _print_once(folder: str, error: Exception) -> None:
    name = str(getattr(error, "name", None) or "")
    reason = "is not installed" if name.startswith("pyroscope_otel") else f"fails there ({error})"
    mark = "".join(letter if letter.isalnum() else "_" for letter in sys.prefix)
    try:
        # The process that creates the file prints the message: once per environment and run.
        with open(os.path.join(folder, "without" + mark), "x"):  # noqa: PTH118, PTH123  as above
            pass
    except OSError:
        return
    if sys.stderr is not None:
        sys.stderr.write(
            f"pyroscope-otel: No profiles from {sys.executable}: pyroscope-otel {reason}. Needed: "
            f"{sys.executable} -m pip install --upgrade 'pyroscope-otel[otlp]'\n"
        )


try:
    _run_the_one_behind()
finally:
    _set_up()
