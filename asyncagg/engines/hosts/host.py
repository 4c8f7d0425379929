"""The model owner's process of a run on many hosts: preflight, rounds, run directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from asyncagg.crypto.randomness import SystemRandomness
from asyncagg.engines.experiment import RUN_NONCE_BYTES, Experiment
from asyncagg.engines.hosts.preflight import Preflight
from asyncagg.engines.hosts.process_spec import HostRuntime
from asyncagg.engines.record.checkpointer import Checkpointer
from asyncagg.engines.record.peak_memory import peak_rss_bytes
from asyncagg.engines.record.recorder import ResultRecorder
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.engines.record.usage import UsageByRole
from asyncagg.engines.runtime.players import LocalPlayers
from asyncagg.net.clock import now_ns
from asyncagg.players.model_owner import ModelOwnerPlayer
from asyncagg.protocols.names import MODEL_OWNER, Label, Loss, Player
from asyncagg.runs.atomic import replace
from asyncagg.runs.checkpoint import CheckpointError
from asyncagg.runs.directory import DirectoryError
from asyncagg.runs.result import RoundResult
from asyncagg.scenario.hosts_config import HostEntry

RUN = "run"
"""The file of a run directory that holds the nonce of the run, in hex."""


def nonce(resumed: Path | None) -> bytes:
    """A new run's nonce, or that of the run in this directory: owners keep an account for each run.

    CheckpointError where that is not to be had.
    """
    if resumed is None:
        return SystemRandomness().bytes(RUN_NONCE_BYTES)
    path = resumed / RUN
    try:
        kept = bytes.fromhex(path.read_text(encoding="ascii"))
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror} (the directory of a run on hosts)") from None
    except ValueError:
        kept = b""
    if len(kept) != RUN_NONCE_BYTES:
        raise CheckpointError(f"{path}: is not {2 * RUN_NONCE_BYTES} hex digits (the file that asyncagg wrote)")
    return kept


def keep_nonce(run: bytes, folder: Path) -> None:
    """Write it down for whoever goes on with the run. DirectoryError where that cannot be."""
    path = folder / RUN
    try:
        replace(path, lambda file: file.write(run.hex().encode()))
    except OSError as error:
        raise DirectoryError(f"{path}: {error.strerror} (a folder that can be written, with room)") from None


async def host(runtime: HostRuntime, run: bytes, finished: RunRecord, progress: Callable[[RoundResult], None]) -> None:
    """Serve the model owner of this run; `finished`, which has a folder, is filled as the run goes on."""
    spec = runtime.spec
    result, experiment = finished.result, spec.experiment
    began, cpu = time.perf_counter(), time.process_time()
    others = [entry for entry in spec.entries if entry not in spec.mine]
    preflight = Preflight(others, spec.observation.said, runtime.objections)
    spec.observation.add(preflight)
    finished.trace.watch = spec.observation.record
    start_ns = now_ns() - finished.elapsed_ns
    environment = runtime.environment(run, start_ns, spec.identities, spec.roster, None)
    probe = _Alone()
    recorder = ResultRecorder(experiment, finished, probe, progress)
    if finished.folder is None:
        raise ValueError("the model owner keeps a run directory")
    checkpointer = Checkpointer(experiment, finished.folder, finished.resumed, start_ns)
    local_players = probe.local_players = LocalPlayers(
        experiment, environment, finished.trace, [MODEL_OWNER], checkpointer.hooks(recorder.observe)
    )
    owner = local_players.model_owner
    if owner is None:
        raise ValueError("the model owner is not here")
    spec.observation.view.players = lambda: local_players.players
    try:
        await local_players.listen()
        result.reason = await local_players.tasks.run(_rounds(runtime, owner, preflight))
        result.status = "ok" if result.reason is None else "failed"
    finally:
        result.wall_seconds += time.perf_counter() - began
        result.cpu_seconds += time.process_time() - cpu
        result.peak_rss_bytes = peak_rss_bytes()
        finished.model = owner.parameters
        result.ledger = owner.disclosed
        await recorder.close()
        await runtime.close()


async def _rounds(runtime: HostRuntime, owner: ModelOwnerPlayer, preflight: Preflight) -> str | None:
    """The run, once everyone is there; None, or why it stopped."""
    observation = runtime.spec.observation
    reason = _fatal(await preflight.run(runtime.spec.deadline_ns()), runtime.spec.experiment)
    if reason is not None:
        owner.dismiss(reason)
    else:
        observation.turned("ok")
        reason = await owner.run(now_ns())
    observation.view.over = True
    return reason


class _Alone:
    """The witness where nobody sees all: what the model owner's own process saw."""

    local_players: LocalPlayers

    async def usage_by_role(self, round_index: int) -> UsageByRole:
        return self.local_players.usage_by_role(round_index)

    async def expected_sum(self, label: Label, survivors: Sequence[Player]) -> None:
        """None: nobody sees the inputs of all."""

    def own_failures(self, round_index: int) -> Mapping[Player, Loss]:
        """None: owners live elsewhere."""
        return {}


def _fatal(missing: Sequence[HostEntry], experiment: Experiment) -> str | None:
    """Why the run cannot begin without these; None where it can."""
    nodes = [entry.name for entry in missing if entry.listens]
    if nodes:
        return f"preflight: {', '.join(nodes)} did not join"
    count = experiment.scenario.owners.count
    there = count - sum(len(entry.players) for entry in missing)
    least = experiment.scenario.aggregation.minimum_cohort
    if there < least:
        return f"preflight: {there} of {count} data owners joined, and {least} are needed"
    return None
