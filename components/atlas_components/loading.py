"""Loading a pipeline that is named on a command line, and the arguments for it."""

import importlib.util
import json
import re
import sys
import warnings
from pathlib import Path
from typing import Any

from kfp.dsl import base_component

from atlas.errors import DocumentError, InputError

_TYPES: dict[str, tuple[type, ...]] = {
    "Integer": (int,),
    "Float": (int, float),
    "Boolean": (bool,),
    "List": (list,),
    "Dict": (dict,),
}


def load_pipeline(reference: str) -> Any:
    """Load a pipeline named as `path/to/file.py:function`.

    Raises:
        DocumentError: if there is no such file, it fails to load, or has no such pipeline.
    """
    file, colon, name = reference.rpartition(":")
    path = Path(file)
    if not colon or path.suffix != ".py" or not name.isidentifier():
        raise DocumentError(f"{reference!r} does not name a pipeline", mend="write it as pipeline.py:function")
    if not path.is_file():
        raise DocumentError(f"{path}: there is no such file")
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise DocumentError(f"{path}: cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    known = sys.modules.get(path.stem)
    sys.modules[path.stem] = module  # kfp reads the source of components through it
    sys.path.insert(0, str(path.resolve().parent))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # kfp's, about versions and names
            spec.loader.exec_module(module)
    except Exception as error:
        raise DocumentError(f"{path}: it fails to load: {words(error)}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
        if known is not None:
            sys.modules[path.stem] = known
    pipeline = getattr(module, name, None)
    if not isinstance(pipeline, base_component.BaseComponent):
        names = sorted(k for k, v in vars(module).items() if isinstance(v, base_component.BaseComponent))
        raise DocumentError(
            f"{path}: {name} is not a pipeline",
            mend=f"name one of: {', '.join(names)}" if names else "write @dsl.pipeline",
        )
    return pipeline


def parse_arguments(pipeline: Any, pairs: list[str]) -> dict[str, Any]:
    """Read `name=value` pairs as the types that the pipeline's parameters have.

    Errors do not tell values: some are secret.

    Raises:
        InputError: for one that it does not have, or whose value is not of its type.
    """
    inputs = pipeline.component_spec.inputs or {}
    arguments: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError("an --arg has no equals sign", mend="write --arg name=value")
        if name not in inputs:
            raise InputError(
                f"the pipeline has no parameter {name!r}", mend=f"it has: {', '.join(sorted(inputs)) or 'none'}"
            )
        arguments[name] = _value(name, inputs[name].type, text)
    return arguments


def _value(name: str, kind: str, text: str) -> Any:
    if kind == "String":
        return text
    try:
        value = json.loads(text.lower() if kind == "Boolean" else text)
    except ValueError:
        raise InputError(f"--arg {name}: its value is not of type {kind}") from None
    if type(value) not in _TYPES.get(kind, (type(value),)):
        raise InputError(f"--arg {name}: its value is not of type {kind}")
    return value


def words(error: BaseException) -> str:
    """What an error of kfp or of a user's module says, without the colours of a terminal."""
    text = re.sub(r"\033\[\d+m", "", str(error))
    return text if type(error) is RuntimeError else f"{type(error).__name__}: {text}"
