"""Sources of a scenario's values: the file and line, or the override, that said each."""

from dataclasses import dataclass, field
from pathlib import Path

from asyncagg.scenario.errors import KeyPath, Mistake, placed


@dataclass(frozen=True, slots=True)
class Origin:
    """Source of a value: a file and its line, or an override. A higher layer wins over a lower one."""

    source: str
    line: int | None = None
    layer: int = 0
    folder: Path = Path()

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(slots=True)
class Sources:
    """The places of all values, and the folder of the scenario."""

    folder: Path = field(default_factory=Path)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)

    def nearest(self, path: KeyPath) -> Origin:
        """Origin of the value, or else of the table it would be in."""
        said = (self.origins.get(path[:end]) for end in range(len(path), -1, -1))
        return next((origin for origin in said if origin is not None), Origin("scenario"))

    def blamed(self, mistake: Mistake) -> Origin:
        """The last thing said of all that make up the mistake; the key named first where it is a draw."""
        keys = [path for path in (mistake.path, *mistake.others) if path in self.origins]
        if not keys:
            return self.nearest(mistake.path)
        return max((self.origins[path] for path in keys), key=lambda origin: origin.layer)

    def line(self, mistake: Mistake) -> str:
        """The mistake as a user reads it."""
        return placed(self.blamed(mistake), mistake.path, mistake.text)
