"""The loop: epochs of updates, a look at valid after each, a checkpoint now and then."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from pertura.core.errors import DivergedError, OutOfMemoryError, UsageError
from pertura.core.seeds import generator
from pertura.training import checkpoint
from pertura.training.checkpoint import Place
from pertura.training.objective import Feed, Objective
from pertura.training.options import TrainingOptions
from pertura.training.precision import autocast, gradient_scaler
from pertura.training.record import Epoch, TrainingRecord, write_record
from pertura.training.world import joined

Validate = Callable[[], Mapping[str, float]]
Watch = Callable[[int, int, int], None]


@dataclass(eq=False)
class Loop:
    """A training: begun, or begun before in `folder` and gone on with.

    Batches and dropout depend on the seed and the number of the step, not on what ran before, so that a training that
    was killed at any moment comes to the very same weights. A loss that is not finite is answered by going back to
    the last checkpoint at half the learning rate, `options.rollbacks` times; then `DivergedError`. Where memory runs
    out the pieces of a batch are halved, and the update stays the same. `watch` is told epoch, step and steps after
    each update.
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
        self.world = joined(self.options.device)
        self.network.to(self.options.device)
        trained = [one for one in self.network.parameters() if one.requires_grad]
        fused = self.options.device.startswith("cuda")
        rate, decay = self.options.learning_rate, self.options.weight_decay
        self.optimiser = torch.optim.Adam(trained, lr=rate, weight_decay=decay, fused=fused)
        self.trained, self.scaler = trained, gradient_scaler(self.options)
        self.record = replace(self.record, device=self.options.device, micro_batch=self.options.micro_batch)

    @property
    def network(self) -> nn.Module:
        """The network in training."""
        return self.objective.network

    @property
    def fingerprint(self) -> str:
        """A digest of everything the result depends on; how often a checkpoint is written is not among it."""
        told = asdict(self.options) | {"checkpoint_steps": 0, "micro_batch": 0}
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
        found = checkpoint.read_state(self.folder, self.network, self.optimiser, self.fingerprint)
        self.world.wait()  # else the leader's first state is found by one that has not looked yet
        if found is None:
            self.save()
            return
        self.place, self.record, facts = found
        self.scaler.load_state_dict(json.loads(facts["scaler"]))

    def save(self) -> None:
        """Store the state as it is."""
        if self.world.leads:
            about = {
                "fingerprint": self.fingerprint,
                "record": self.record.to_json(),
                "scaler": json.dumps(self.scaler.state_dict()),
            }
            checkpoint.write_state(self.folder, self.network, self.optimiser, self.place, about)
        self.world.wait()

    # ---- an epoch

    def run_epoch(self) -> None:
        """Work through the rest of an epoch, look at valid, and store the state."""
        self.network.train()
        pending: list[Tensor] = []
        began, since = time.monotonic(), self.place
        while self.place.step < self.feed.steps:
            pending.append(self.update())
            self.place = replace(self.place, step=self.place.step + 1)
            if self.watch is not None:
                self.watch(self.place.epoch, self.place.step, self.feed.steps)
            if self.place.step % self.options.checkpoint_steps == 0 or self.place.step == self.feed.steps:
                if not self._counted(pending, since, began):
                    return
                pending = []
                if self.place.step < self.feed.steps:
                    self.save()
        self._close_epoch(time.monotonic() - began)

    def _counted(self, pending: Sequence[Tensor], since: Place, began: float) -> bool:
        """Add up the losses since the last look; False, and rolled back, where one is not finite.

        Losses are read from the device only here: reading one after every update would make the device wait.
        """
        losses = torch.stack(list(pending)).tolist()
        if not all(torch.isfinite(torch.tensor(losses))):
            self.roll_back()
            return False
        seconds = since.seconds + time.monotonic() - began
        self.place = replace(self.place, loss_sum=self.place.loss_sum + sum(losses), seconds=seconds)
        return True

    def _close_epoch(self, seconds: float) -> None:
        place = self.place
        valid = self._looked()
        cells = sum(len(self.feed.places(place.epoch, step)) for step in range(self.feed.steps))
        rate = self.optimiser.param_groups[0]["lr"]
        mean = place.loss_sum / max(self.feed.steps, 1)
        self.record = self.record.with_epoch(Epoch(place.epoch, mean, rate, cells, place.seconds, dict(valid)))
        self._judge(place.epoch, valid)
        for group in self.optimiser.param_groups:
            group["lr"] *= self.options.decay
        self.place = Place(epoch=place.epoch + 1, attempt=place.attempt)
        self.save()
        if self.world.leads:
            write_record(self.record, self.folder)

    def _looked(self) -> Mapping[str, float]:
        if self.validate is None:
            return {}
        self.network.eval()
        with torch.inference_mode():
            valid = self.validate()
        if self.options.patience is not None and self.options.stop_metric not in valid:
            raise UsageError(f"no stop metric {self.options.stop_metric!r}; there are {', '.join(valid)}")
        return valid

    def _judge(self, epoch: int, valid: Mapping[str, float]) -> None:
        """Keep the weights if they are the best so far; decide whether to stop."""
        score = valid.get(self.options.stop_metric)
        selecting = self.options.patience is not None and score is not None
        best = self.record.best_score
        if not selecting or best is None or (score is not None and score > best):
            if self.world.leads:
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
        nn.utils.clip_grad_norm_(self.trained, self.options.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
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
