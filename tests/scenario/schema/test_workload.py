"""`[workload]` is checked once, here: what reaches the workloads from a mapping of the caller's is right by its key."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from asyncagg.scenario import ScenarioError, parse

CLASSES = {"kind": "python", "owner": "homemade:Mine", "model_owner": "homemade:Model"}


@pytest.mark.parametrize(
    ("workload", "key"),
    [
        ({"model": "mpl"}, "model"),
        ({"hidden": []}, "hidden"),
        ({"hidden": [64, 0]}, "hidden.1"),
        ({"hidden": [64, True]}, "hidden.1"),
        ({"hidden": [64.0]}, "hidden.0"),
        ({"hidden": 64}, "hidden"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"learning_rate": math.inf}, "learning_rate"),
        ({"learning_rate": "0.1"}, "learning_rate"),
        ({"learning_rate": True}, "learning_rate"),
        ({"momentum": 1}, "momentum"),
        ({"momentum": -0.1}, "momentum"),
        ({"momentum": math.nan}, "momentum"),
        ({"batch_size": -1}, "batch_size"),
        ({"batch_size": 1.0}, "batch_size"),
        ({"batch_size": True}, "batch_size"),
        ({"partition": "dirichlet"}, "partition"),
        ({"shares": [1, 2]}, "shares"),
        ({"shares": [1, 2, -1]}, "shares.2"),
        ({"shares": [1, 2, math.inf]}, "shares.2"),
        ({"shares": [1, 2, "3"]}, "shares.2"),
        ({"shares": 1}, "shares"),
        ({"learningrate": 1}, "learningrate"),
        ({"kind": "synthetic", "dimension": 0}, "dimension"),
        ({"kind": "synthetic", "dimension": -1}, "dimension"),
        ({"kind": "synthetic", "dimension": 1.5}, "dimension"),
        ({"kind": "synthetic", "dimension": "ten"}, "dimension"),
        ({"kind": "synthetic", "dimension": True}, "dimension"),
        ({"kind": "vectors"}, "file"),
        ({"kind": "vectors", "file": 3}, "file"),
        ({"kind": "vectors", "file": ""}, "file"),
        ({"kind": "vectors", "file": __file__, "fil": 1}, "fil"),
        (CLASSES | {"owner": None}, "owner"),
        ({key: value for key, value in CLASSES.items() if key != "owner"}, "owner"),
        (CLASSES | {"owner": "homemade.Mine"}, "owner"),
        (CLASSES | {"owner": "homemade:"}, "owner"),
        (CLASSES | {"owner": "homemade:a b"}, "owner"),
        (CLASSES | {"owner": ".homemade:Mine"}, "owner"),
        (CLASSES | {"options": 3}, "options"),
        (CLASSES | {"options": {"rows": np.ones(3)}}, "options.rows"),
    ],
)
def test_what_is_wrong_is_refused_by_its_key(workload: dict[str, Any], key: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse({"name": "x", "workload": workload})
    assert [line.partition(": ")[2].partition(":")[0] for line in caught.value.lines] == [f"workload.{key}"]
