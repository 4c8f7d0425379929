"""Classes of the user's own: how they are found, what they are given, and what is said when they fail."""

import sys
from pathlib import Path

import numpy as np
import pytest

SOUND = """
import numpy as np
from asyncagg.learning import DataOwner, ModelOwner

class Mine(DataOwner):
    max_weight = 7

    def __init__(self, index, seed, scale=1.0):
        self.given = (index, seed, scale)

    def compute_gradient(self, parameters, round):
        return {"x": np.full(3, self.given[0] * self.given[2])}, 7

class Model(ModelOwner):
    def __init__(self, owners, start=0.0):
        self.owners = owners
        self.start = start

    def initial_parameters(self):
        return {"x": np.full(3, self.start)}

    def apply(self, parameters, mean):
        return {"x": parameters["x"] - mean["x"]}

class Plain(ModelOwner):
    def initial_parameters(self):
        return {}

    def apply(self, parameters, mean):
        return {}

class Vectorial(Plain):
    def gradient_shapes(self):
        return {"x": (3,)}

class Everything(DataOwner):
    def __init__(self, **others):
        self.given = others

    def compute_gradient(self, parameters, round):
        return {}, 1

class Unfinished(DataOwner):
    pass

class Demanding(ModelOwner):
    def __init__(self, table):
        pass

    def initial_parameters(self):
        return {}

    def apply(self, parameters, mean):
        return {}

class Failing(Plain):
    def initial_parameters(self):
        return {"x": 1 / 0}

class Boundless(Mine):
    max_weight = 0

number = 3
"""


@pytest.fixture(autouse=True)
def _forget_modules():
    before = dict(sys.modules)
    path = list(sys.path)
    yield
    assert sys.path == path
    for name in [name for name in sys.modules if name not in before]:
        del sys.modules[name]


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "homemade.py"
    path.write_text(SOUND)
    return path


def build(make, owner: str = "Mine", model_owner: str = "Model", **others):
    return make("python", owner=f"homemade:{owner}", model_owner=f"homemade:{model_owner}", **others)


def test_classes_beside_the_scenario(make, module, train):
    workload = build(make, owners=4, seed=9, options={"scale": 2.0, "start": 1.0})
    assert (workload.population, workload.shapes, workload.max_weight) == (4, {"x": (3,)}, 7)
    assert workload.owner(2).given == (2, 9, 2.0)
    assert workload.model_owner().owners == 4
    parameters, _ = train(workload, 1)
    np.testing.assert_array_equal(parameters["x"], np.full(3, 1.0 - 3.0))


def test_players_are_built_anew_each_time(make, module):
    workload = build(make)
    assert workload.owner(0) is not workload.owner(0)
    assert workload.model_owner() is not workload.model_owner()


def test_a_constructor_that_takes_everything_is_given_everything(make, module):
    owner = build(make, "Everything", options={"start": 1.0}).owner(1)
    assert owner.given == {"index": 1, "owners": 3, "seed": 0, "start": 1.0}


def test_a_model_without_parameters_says_the_shapes(make, module):
    assert build(make, model_owner="Vectorial").dimension == 3


def test_a_package_and_a_module_beside_it(make, module, tmp_path):
    package = tmp_path / "home"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "made.py").write_text("from homemade import Mine, Model\n")
    assert make("python", owner="home.made:Mine", model_owner="home.made:Model").max_weight == 7


def test_a_module_on_the_python_path(make, module, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    assert make("python", owner="homemade:Mine", model_owner="homemade:Model").max_weight == 7


@pytest.mark.parametrize(
    ("options", "key", "message"),
    [
        (
            {"owner": "absent:Mine"},
            "owner",
            "there is no module absent (in the folder of the workload's modules or on",
        ),
        ({"owner": "homemade.deep:Mine"}, "owner", "there is no module homemade.deep (in the"),
        ({"owner": ".homemade:Mine"}, "owner", "TypeError: the 'package' argument is required"),
        (
            {"owner": "homemade:Missing"},
            "owner",
            "Missing in {path} is missing (it must be a class derived from",
        ),
        (
            {"owner": "homemade:number"},
            "owner",
            "number in {path} is something else (it must be a class derived",
        ),
        (
            {"owner": "homemade:Model"},
            "owner",
            "Model in {path} is something else (it must be a class derived from",
        ),
        ({"model_owner": "homemade:Mine"}, "model_owner", "Mine in {path} is something else"),
        (
            {"model_owner": "homemade:Failing"},
            "model_owner",
            "{path}:58: ZeroDivisionError: division by zero",
        ),
        (
            {"model_owner": "homemade:Demanding"},
            "model_owner",
            "TypeError: Demanding.__init__() missing 1 required",
        ),
        (
            {"owner": "homemade:Boundless"},
            "owner",
            "max_weight of Boundless is 0 (it must be a positive integer)",
        ),
        ({"options": {"seed": 1}}, "options.seed", "is given by the run itself (choose another name)"),
        ({"options": {"scal": 1}}, "options.scal", "neither Mine nor Model takes an argument of this name"),
    ],
)
def test_bad_options(refused, module, options, key, message):
    error = refused("python", **{"owner": "homemade:Mine", "model_owner": "homemade:Model"} | options)
    assert error.key == f"workload.{key}"
    assert error.message.startswith(message.format(path=module))


def test_no_coordinates_at_all(refused, module):
    error = refused("python", owner="homemade:Mine", model_owner="homemade:Plain")
    assert "a gradient has no coordinates" in error.message


def test_an_owner_that_cannot_be_made(make, module):
    from asyncagg.learning import WorkloadError

    workload = build(make, "Unfinished")
    with pytest.raises(WorkloadError, match=r"workload\.owner: TypeError: Can't instantiate abstract class Unfinished"):
        workload.owner(0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class Mine(:\n", "{path}:1: invalid syntax"),
        ("\nimport absent_thing\n", "{path}:2: there is no module absent_thing (in the"),
        ("\n\nraise RuntimeError('two\\nlines')\n", "{path}:3: RuntimeError: two lines"),
        ("from asyncagg.learning import Nothing\n", "{path}:1: ImportError: cannot import name 'Nothing'"),
    ],
)
def test_a_module_that_fails_is_one_line_with_the_place(refused, module, text, message):
    module.write_text(text)
    error = refused("python", owner="homemade:Mine", model_owner="homemade:Model")
    assert error.key == "workload.owner"
    assert error.message.startswith(message.format(path=module))


def test_a_module_hidden_by_one_that_is_loaded_already(refused, tmp_path):
    (tmp_path / "json.py").write_text(SOUND)
    error = refused("python", owner="json:Mine", model_owner="json:Model")
    assert error.message.startswith("another module json is loaded already, from ")
    assert error.message.endswith(f"(rename {tmp_path / 'json.py'})")
