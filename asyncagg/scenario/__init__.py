"""The scenario: the file that fixes an experiment, its schema, and what its seed decides."""

from asyncagg.scenario.errors import ScenarioError
from asyncagg.scenario.reading.load import load, parse
from asyncagg.scenario.schema.scenario import Scenario, json_schema

__all__ = ["Scenario", "ScenarioError", "json_schema", "load", "parse"]
