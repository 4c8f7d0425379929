"""The workload `python`: owners and a model of the user's own, named `module:Class` in the scenario.

Modules are imported from one folder, the scenario's unless it names another, or else from the Python path.
A constructor is given what it names of `index` (the owner's number), `owners` (the population), `seed` and
the entries of `[workload.options]`; one that takes `**others` is given all of them.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from asyncagg.learning.errors import WorkloadError
from asyncagg.learning.owners import DataOwner, ModelOwner, Shapes
from asyncagg.learning.users import users_code
from asyncagg.learning.workload import Workload, check_max_weight, described

T = TypeVar("T")

NO_OPTIONS: Mapping[str, object] = {}


def workload(
    owners: int, seed: int, base: Path, *, owner: str, model_owner: str, options: Mapping[str, object] = NO_OPTIONS
) -> Workload:
    """Owners of the class `owner` and a model of the class `model_owner`, each "module:Class".

    `max_weight` is the owner class's. The model owner is built once here, to learn the shapes of a gradient.
    """
    owner_class: type[DataOwner] = _load(owner, DataOwner, base, "workload.owner")
    model_class: type[ModelOwner] = _load(model_owner, ModelOwner, base, "workload.model_owner")
    _check_options(options, owner_class, model_class)
    common = {**options, "owners": owners, "seed": seed}

    def make_owner(index: int) -> DataOwner:
        return _make(owner_class, {**common, "index": index}, "workload.owner")

    def make_model_owner() -> ModelOwner:
        return _make(model_class, common, "workload.model_owner")

    shapes, dtypes = _described(make_model_owner())
    return Workload(
        population=owners,
        shapes=shapes,
        max_weight=check_max_weight(owner_class.max_weight, owner_class.__name__, "workload.owner"),
        make_owner=make_owner,
        make_model_owner=make_model_owner,
        dtypes=dtypes,
    )


def _load(name: str, base_class: type, base: Path, place: str) -> type[Any]:
    """Imports the class `name`, which the key `place` of the scenario names."""
    module_name, _, class_name = name.partition(":")
    module = _import(module_name, base.resolve(), place)
    found = getattr(module, class_name, None)
    if not isinstance(found, type) or not issubclass(found, base_class):
        raise WorkloadError(
            f"{class_name} in {getattr(module, '__file__', module_name)} is "
            f"{'missing' if found is None else 'something else'} "
            f"(it must be a class derived from asyncagg.{base_class.__name__})",
            place,
        )
    return found


def _import(name: str, folder: Path, place: str) -> ModuleType:
    top = name.partition(".")[0]
    own = [path for path in (folder / f"{top}.py", folder / top / "__init__.py") if path.is_file()]
    loaded = getattr(sys.modules.get(top), "__file__", None)
    if own and top in sys.modules and (loaded is None or Path(loaded).resolve() not in own):
        raise WorkloadError(f"another module {top} is loaded already, from {loaded} (rename {own[0]})", place)
    with users_code(place), _search_first(folder):
        return importlib.import_module(name)


@contextmanager
def _search_first(folder: Path) -> Iterator[None]:
    """Lets modules of `folder` be imported, for the time being."""
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()  # the file may be younger than the last look into its folder
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _check_options(options: Mapping[str, object], *classes: type) -> None:
    for name in options:
        key = f"workload.options.{name}"
        if name in ("index", "owners", "seed"):
            raise WorkloadError("is given by the run itself (choose another name)", key)
        if not any(name in _accepted(chosen, options) for chosen in classes):
            takers = " nor ".join(chosen.__name__ for chosen in classes)
            raise WorkloadError(f"neither {takers} takes an argument of this name", key)


def _make(chosen: type[T], available: Mapping[str, object], place: str) -> T:
    with users_code(place):
        return chosen(**_accepted(chosen, available))


def _described(model_owner: ModelOwner) -> tuple[Shapes, dict[str, str]]:
    with users_code("workload.model_owner"):
        return described(model_owner)


def _accepted(chosen: type, available: Mapping[str, object]) -> dict[str, object]:
    """Those of the `available` arguments that the constructor takes."""
    parameters = inspect.signature(chosen).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return dict(available)
    return {name: value for name, value in available.items() if name in parameters}
