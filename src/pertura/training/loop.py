"""The loop: epochs of updates, a look at valid after each, a checkpoint now and then."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from pertura.core.errors import DivergedError, OutOfMemoryError, UsageError
from pertura.core.seeds import generator
from pertura.training import checkpoint
from pertura.training.average import Average
from pertura.training.checkpoint import Place
from pertura.training.objective import Feed, Objective, cells_of
from pertura.training.options import TrainingOptions
from pertura.training.precision import autocast, gradient_scaler, placed
from pertura.training.record import Epoch, TrainingRecord, clocked, write_record
from pertura.training.track import check_tracking, track
from pertura.training.world import joined

Validate = Callable[[], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a training stands after an update.

    `loss` is the mean of the epoch as far as it was read from the device, or of the last epoch; None before. `left` is
    how many seconds it takes at most from here, without early stopping; None before that is known.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None = None
    left: float | None = None


Watch = Callable[[Moment], None]


@dataclass(eq=False)
class Loop:
    """A training: begun, or begun before in `folder` and gone on with.

    Batches and dropout depend on the seed and the number of the step, not on what ran before, so that a training that
    was killed at any moment comes to the very same weights. A loss that is not finite is answered by going back to
    the last checkpoint at half the learning rate, `options.rollbacks` times; then `DivergedError`. Where memory runs
    out the pieces of a batch are halved, and the update stays the same. `watch` is told the moment after each update;
    what it raises stops the training, which is stored as it stands there.
    """

    objective: Objective
    feed: Feed
    options: TrainingOptions
    folder: Path
    seed: int
    validate: Validate | None = None
    watch: Watch | None = None
    record: TrainingRecord = field(default_factory=TrainingRecord)
    place: Place = field(default_factory=Place)

    def __post_init__(self) -> None:
        self.options = placed(self.options)
        check_tracking(self.options)
        self.world = joined(self.options.device)
        self.network.to(self.options.device)
        trained = [one for one in self.network.parameters() if one.requires_grad]
        rate, decay = self.options.learning_rate, self.options.weight_decay
        self.optimiser = torch.optim.Adam(trained, lr=rate, weight_decay=decay, fused=True)
        self.trained, self.scaler = trained, gradient_scaler(self.options)
        self.average = None if self.options.average is None else Average(self.network, self.options.average)
        self.record = replace(self.record, device=self.options.device, micro_batch=self.options.micro_batch)
        self.running, self.since, self.made = 0.0, time.monotonic(), 0

    @property
    def network(self) -> nn.Module:
        """The network in training."""
        return self.objective.network

    @property
    def fingerprint(self) -> str:
        """A digest of everything the result depends on; how often it is stored or told is not among it."""
        told = asdict(self.options) | {"checkpoint_steps": 0, "micro_batch": 0, "tracking": ""}
        text = json.dumps([told, self.feed.fingerprint, self.seed], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def run(self) -> TrainingRecord:
        """Train to the end, leave the best weights in the network, and return what was done."""
        self.resume()
        while not self.record.reason:
            self.run_epoch()
        if self.world.leads:
            write_record(self.record, self.folder)
        self.world.wait()
        checkpoint.read_best(self.folder, self.network)
        return self.record

    # ---- place and checkpoint

    def resume(self) -> None:
        """Go to where a stored state stands, or store the first one."""
        found = checkpoint.read_state(self.folder, self.network, self.optimiser, self.fingerprint, self.average)
        self.world.wait()  # else the leader's first state is found by one that has not looked yet
        if found is None:
            self.save()
            return
        self.place, record, facts = found
        self.record, self.running = clocked(record, self.folder)
        self.scaler.load_state_dict(json.loads(facts["scaler"]))

    def save(self) -> None:
        """Store the state as it is; the clock is stored apart, so that equal trainings store equal states."""
        if self.world.leads:
            write_record(self.record, self.folder, self._seconds())
            about = {
                "fingerprint": self.fingerprint,
                "record": self.record.timeless().to_json(),
                "scaler": json.dumps(self.scaler.state_dict()),
            }
            checkpoint.write_state(self.folder, self.network, self.optimiser, self.place, about, self.average)
        self.world.wait()

    # ---- an epoch

    def run_epoch(self) -> None:
        """Work through the rest of an epoch, look at valid, and store the state."""
        self.network.train()
        pending: list[Tensor] = []
        self.since, self.made, first = time.monotonic(), 0, self.place.step
        while self.place.step < self.feed.steps:
            pending.append(self.update())
            self.place = replace(self.place, step=self.place.step + 1)
            self.made = self.place.step - first
            if self.place.step % self.options.checkpoint_steps == 0 or self.place.step == self.feed.steps:
                if not self._counted(pending):
                    return
                pending = []
                if self.place.step < self.feed.steps:
                    self.save()
            self._tell(pending)
        self._close_epoch()

    def _tell(self, pending: Sequence[Tensor]) -> None:
        """Tell who watches; what stops the training there finds it stored."""
        if self.watch is None or not self.world.leads:
            return
        try:
            self.watch(self._moment(len(pending)))
        except BaseException:
            if self.world.size == 1 and (not pending or self._counted(pending)):
                self.save()
            raise

    def _moment(self, pending: int) -> Moment:
        place, steps, known = self.place, self.feed.steps, self.place.step - pending
        loss = place.loss_sum / known if known else None
        if loss is None and self.record.epochs:
            loss = self.record.epochs[-1].loss
        per_step = (time.monotonic() - self.since) / self.made
        left = per_step * ((self.options.epochs - place.epoch) * steps - place.step)
        return Moment(place.epoch, self.options.epochs, place.step, steps, loss, left)

    def _counted(self, pending: Sequence[Tensor]) -> bool:
        """Add up the losses since the last look; False, and rolled back, where one is not finite.

        Losses are read from the device only here: reading one after every update would make the device wait. They are
        added one by one, so that the sum does not depend on when they were read.
        """
        total = self.place.loss_sum
        for one in torch.stack(list(pending)).tolist():
            total += one
        if not math.isfinite(total):
            self.roll_back()
            return False
        self.place = replace(self.place, loss_sum=total)
        return True

    def _seconds(self) -> float:
        """Of the epoch that runs, over all processes that worked on it."""
        return self.running + time.monotonic() - self.since

    def _close_epoch(self) -> None:
        place = self.place
        valid = self._looked()
        cells = cells_of(self.feed, place.epoch)
        rate = self.optimiser.param_groups[0]["lr"]
        mean = place.loss_sum / max(self.feed.steps, 1)
        made = Epoch(place.epoch, mean, rate, cells, self._seconds(), dict(valid))
        self.record = self.record.with_epoch(made)
        self._judge(place.epoch, valid)
        for group in self.optimiser.param_groups:
            group["lr"] *= self.options.decay
        self.place, self.running, self.since = (
            Place(epoch=place.epoch + 1, attempt=place.attempt),
            0.0,
            time.monotonic(),
        )
        if self.world.leads:
            track(made, self.folder, self.options)
        self.save()

    def _looked(self) -> Mapping[str, float]:
        if self.validate is None:
            return {}
        self.network.eval()
        with self._averaged(), torch.inference_mode():
            valid = self.validate()
        if self.options.patience is not None and self.options.stop_metric not in valid:
            raise UsageError(f"no stop metric {self.options.stop_metric!r}; there are {', '.join(valid)}")
        return valid

    def _averaged(self) -> AbstractContextManager[None]:
        """Show the averaged weights for a while, where there are some."""
        return nullcontext() if self.average is None else self.average.shown()

    def _judge(self, epoch: int, valid: Mapping[str, float]) -> None:
        """Keep the weights if they are the best so far; decide whether to stop."""
        score = valid.get(self.options.stop_metric)
        selecting = self.options.patience is not None and score is not None
        best = self.record.best_score
        if not selecting or best is None or (score is not None and score > best):
            if self.world.leads:
                with self._averaged():
                    checkpoint.write_best(self.folder, self.network)
            self.record = replace(self.record, best_epoch=epoch, best_score=score)
        if epoch + 1 >= self.options.epochs:
            self.record = replace(self.record, reason="max_epochs")
        elif self.options.patience is not None and epoch - self.record.best_epoch >= self.options.patience:
            self.record = replace(self.record, reason="early_stop")

    # ---- an update

    def update(self) -> Tensor:
        """Make one update and return its loss, still on the device."""
        while True:
            try:
                return self._update()
            except (torch.OutOfMemoryError, MemoryError) as error:
                self._smaller_pieces(error)

    def _update(self) -> Tensor:
        place, key = self.place, f"{self.place.attempt}"
        chosen = self.feed.places(place.epoch, place.step)
        mine = self.world.share(chosen)
        size = self.record.micro_batch or max(len(mine), 1)
        torch.manual_seed(
            int(generator(self.seed, "dropout", place.epoch, place.step, key, self.world.rank).integers(2**62))
        )
        self.optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.options.device)
        for start in range(0, len(mine), size):
            piece = mine[start : start + size]
            with autocast(self.options):
                loss = self.objective.loss(self.feed.batch(place.epoch, place.step, piece, key)).total
            share = len(piece) / len(chosen)
            self.scaler.scale(loss * share).backward()
            total += loss.detach().float() * share
        self.scaler.unscale_(self.optimiser)
        self._gather(total)
        if self.options.clip is not None:
            nn.utils.clip_grad_norm_(self.trained, self.options.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.average is not None:
            self.average.take()
        return total

    def _gather(self, total: Tensor) -> None:
        """Add gradients and loss over processes; a parameter that took no part anywhere stays without gradient."""
        if self.world.size == 1:
            return
        for one in self.trained:
            if one.grad is None:
                one.grad = torch.zeros_like(one)
        self.world.sum([*(one.grad for one in self.trained if one.grad is not None), total])

    def _smaller_pieces(self, error: BaseException) -> None:
        now = self.record.micro_batch or -(-self.options.batch // self.world.size)
        if now == 1:
            raise OutOfMemoryError(
                "the memory does not hold one cell's update; use fewer genes (max_genes) or a smaller network"
            ) from error
        self.record = replace(self.record, micro_batch=-(-now // 2)).noted(
            f"out of memory in epoch {self.place.epoch}: pieces of {-(-now // 2)} cells from there on"
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def roll_back(self) -> None:
        """Return to the last stored state at half the learning rate, with other batches; or give up."""
        broken, forgiven, events = self.place, self.record.rollbacks + 1, self.record.events
        if forgiven > self.options.rollbacks:
            raise DivergedError(
                f"the loss of epoch {broken.epoch} is not finite, after {forgiven - 1} returns to a checkpoint; "
                "lower learning_rate or clip, or use precision='fp32'"
            )
        self.resume()
        for group in self.optimiser.param_groups:
            group["lr"] /= 2
        self.place = replace(self.place, attempt=broken.attempt + 1)
        event = f"loss not finite near step {broken.step} of epoch {broken.epoch}: back to step {self.place.step}"
        self.record = replace(self.record, rollbacks=forgiven, events=events).noted(event)
        self.save()
