"""The scenario: the file that fixes an experiment, its schema, and what its seed decides.

A scenario is a TOML or JSON file. `reading` puts it together from its bases, itself and overrides, and `schema` says
what each table means; `values` are the words and units that values are written in. The result is a `Scenario`:
frozen, complete with every default, equal to any other that says the same. `asyncagg check` prints it.

What only several keys together make wrong is in `checks`; what is odd and no mistake is in `notes`. A mistake is
always a line `FILE:LINE: key.path: what is wrong (what would be right)`. `errors` makes these lines, and `sources`
remembers where each value was said, so that a mistake that comes out later, as in a data file, still has its line.

`draws` is what the seed decides: who takes part in a round, who falls silent, whom a fault strikes. Every purpose has
its own stream, so that one fault more shifts nobody else's draws. `cohorts` counts the owners of a scenario as
protocols do. `hosts_config` reads config.json, which says on which host each player is.

Engines and commands read scenarios. Players, protocols and workloads never do: they are given what they need.
"""

from asyncagg.scenario.errors import ScenarioError
from asyncagg.scenario.reading.load import load, parse
from asyncagg.scenario.schema.scenario import Scenario, json_schema

__all__ = ["Scenario", "ScenarioError", "json_schema", "load", "parse"]
