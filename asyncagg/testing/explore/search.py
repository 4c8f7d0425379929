"""The walk through all states of a world, depth first, each once, up to a bound."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from asyncagg.engines.by_hand.setting import HandSetting
from asyncagg.protocols.names import Player
from asyncagg.testing.explore.facts import Fact, facts_of
from asyncagg.testing.explore.invariants import Look, broken
from asyncagg.testing.explore.world import EARLY, LIAR, ExploredStep, Faults, Move, State, World


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, and how to get there."""

    what: str
    """The invariant, a colon, and what is wrong."""
    choices: tuple[ExploredStep, ...]


@dataclass(slots=True)
class Exploration:
    """Extent and result of an exploration."""

    faults: Faults
    states: int = 0
    """Different ones."""
    steps: int = 0
    """Between states."""
    longest: int = 0
    """Steps of the longest run."""
    is_cut: bool = False
    """True if there was more to see than the bound allowed: then nothing is known of the rest."""
    ends: dict[str, int] = field(default_factory=dict)
    """Number of different last states, by how the attempts ended."""
    violation: Violation | None = None

    @property
    def is_complete(self) -> bool:
        """True if every state was seen."""
        return not self.is_cut and self.violation is None


def search(setting: HandSetting, faults: Faults, bound: int, reduced: bool = True) -> Exploration:
    """All states of a setting, or `bound` of them, or those until the first violation."""
    return Search(World(setting, faults, reduced), bound).run()


class Search:
    """One depth-first walk."""

    def __init__(self, world: World, bound: int) -> None:
        self.world = world
        self.bound = bound
        self.seen = Exploration(world.faults)
        self.last: set[tuple[int, ...]] = set()
        """Last states, less what is on its way."""
        self._known: set[bytes] = set()
        self._judged: dict[tuple[object, ...], str] = {}
        self._aspects: dict[tuple[int, int], int] = {}
        self._numbers: dict[object, int] = {}
        self._facts: dict[tuple[int, int], tuple[Fact, ...]] = {}

    def run(self) -> Exploration:
        seen = self.seen
        path: list[ExploredStep] = []
        stack: list[Iterator[tuple[ExploredStep, State]]] = [self.world.beginnings()]
        while stack:
            step = next(stack[-1], None)
            if step is None:
                stack.pop()
                if path:
                    path.pop()
                continue
            choice, state = step
            seen.steps += 1
            if not self._is_new(state):
                continue
            if len(self._known) > self.bound:
                seen.is_cut = True
                break
            path.append(choice)
            seen.longest = max(seen.longest, len(path))
            moves = self.world.moves(state)
            what = self.wrong(state, not moves)
            if what:
                seen.violation = Violation(what, tuple(path))
                break
            stack.append(self._after(state, moves))
        seen.states = min(len(self._known), self.bound)
        return seen

    def _after(self, state: State, moves: list[Move]) -> Iterator[tuple[ExploredStep, State]]:
        for move in moves:
            yield from self.world.after(state, move)

    def _is_new(self, state: State) -> bool:
        packed = array("i", state).tobytes()
        if packed in self._known:
            return False
        self._known.add(packed)
        return True

    def wrong(self, state: State, is_final: bool) -> str:
        """The first invariant that a state breaks; empty if it breaks none."""
        places = range(len(self.world.places))
        if is_final:
            self._note_end(state)
        key = (*(self._aspect(place, state[place]) for place in places), state[EARLY], state[LIAR], is_final)
        what = self._judged.get(key)
        if what is None:
            what = self._judged[key] = next(broken(self._look(state, is_final)), "")
        return what

    def _look(self, state: State, is_final: bool) -> Look:
        world = self.world
        by_player: dict[Player, tuple[Fact, ...]] = dict.fromkeys(world.roles_of, ())
        for place, where in enumerate(world.places):
            by_player[where.player] += self._facts[place, state[place]]
        liar = world.places[state[LIAR] - 1].player if state[LIAR] else None
        early = state[EARLY] < world.faults.early
        return Look(world.setting, world.nodes(state), by_player, liar, early, is_final)

    def _aspect(self, place: int, number: int) -> int:
        """Nodes of a role with the same aspect are alike for every invariant."""
        aspect = self._aspects.get((place, number))
        if aspect is None:
            where, setting = self.world.places[place], self.world.setting
            node = self.world.behaviours[place].nodes[number]
            facts = self._facts[place, number] = facts_of(setting.context(where), where.role, node.deeds)
            ended = None if node.end is None else (node.end.how, number if node.end.result is not None else -1)
            waits = (node.phase, node.timers, node.peers) if where.role == "lead" and ended is None else None
            seen = place, facts, node.crowded, ended, waits
            aspect = self._aspects[place, number] = self._numbers.setdefault(seen, len(self._numbers))
        return aspect

    def _note_end(self, state: State) -> None:
        end = self.world.node(state, len(self.world.places) - 1).end
        how = "waits until the round ends" if end is None else "a sum" if end.how == "done" else "no sum, and told why"
        self.seen.ends[how] = self.seen.ends.get(how, 0) + 1
        self.last.add(state[: len(self.world.places)])
