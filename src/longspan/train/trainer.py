"""``transformers.Trainer`` with the task's loss and evaluation, and with checkpoints that are whole or not there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import DistributedType
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from longspan.atomic import partial_name
from longspan.predict.loading import write_task_file
from longspan.tasks.task import Encoding, Features, Task
from longspan.train import checkpoints, sharding
from longspan.train.order import RowOrder, TrainingRows

SCHEDULE = "scheduler.pt"
STATE_FILES = frozenset(
    {checkpoints.MANIFEST, checkpoints.STATE, sharding.OPTIMIZER, SCHEDULE}
    | {"optimizer.pt", "training_args.bin", "scaler.pt"}
)
"""Files of a checkpoint that only training reads, besides ``rng_state*``."""


class TaskTrainer(Trainer):
    """Trains a model on a task.

    Losses are sums over targets divided by the number of targets of all processes and accumulated batches, so that
    gradients do not depend on how a step's rows are dealt out.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        task: Task[Any],
        encoding: Encoding,
        model: Any,
        arguments: TrainingArguments,
        rows: Sequence[Features],
        evaluate: Callable[[Any], dict[str, float]] | None = None,
        keep: int = 2,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        """Make the trainer.

        Args:
            task, encoding, model: what is trained.
            arguments: with ``max_steps``; ``output_dir`` is the folder of the checkpoints.
            rows: features of the training rows.
            evaluate: from the model to the validation scores; the same on every process.
            keep: checkpoints to keep besides the best one.
            callbacks: told of every step.
        """
        self.task, self.encoding, self.keep = task, encoding, keep
        self.folder = Path(arguments.output_dir)
        self._scores = evaluate
        self._writing: Path | None = None
        self.order = RowOrder(
            len(rows),
            arguments.per_device_train_batch_size,
            arguments.gradient_accumulation_steps,
            arguments.world_size,
            arguments.process_index,
            arguments.seed,
        )
        super().__init__(
            model=model,
            args=arguments,
            data_collator=lambda features: task.collate(features, encoding),
            train_dataset=TrainingRows(rows),
            eval_dataset=None if evaluate is None else [],
            processing_class=encoding.tokenizer,
            callbacks=[_SetEpoch(self.order), *callbacks],
        )
        self.remove_callback(PrinterCallback)

    def create_accelerator_and_postprocess(self) -> None:
        """Let accelerate shard on CPUs too, where it leaves FSDP out though torch has it."""
        super().create_accelerator_and_postprocess()
        if self.args.fsdp and self.accelerator.distributed_type == DistributedType.MULTI_CPU:
            from accelerate.utils import FullyShardedDataParallelPlugin

            state = self.accelerator.state
            state.distributed_type = DistributedType.FSDP
            state.fsdp_plugin = FullyShardedDataParallelPlugin(**self.args.fsdp_plugin_args)
            self.is_fsdp_enabled = True

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The batches of this process; each epoch's order is set when it begins."""
        # a generator of its own: the shared one would move with every epoch that is begun, resumed ones too
        return DataLoader(
            self.train_dataset,
            batch_sampler=self.order,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
            generator=torch.Generator(),
        )

    def _get_num_items_in_batch(self, batch_samples: list[Mapping[str, Tensor]], device: torch.device) -> Tensor:
        count = torch.tensor(sum(self.task.count_targets(batch) for batch in batch_samples), device=device)
        return self.accelerator.gather(count).sum() if self.args.world_size > 1 else count

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The task's loss, or the model's own, over the targets of all processes."""
        given = {name: value for name, value in inputs.items() if name not in self.task.targets}
        outputs = model(**given, num_items_in_batch=num_items_in_batch)
        loss = self.task.loss(outputs, inputs, num_items_in_batch)
        if loss is None:
            loss = outputs.loss
        # gradients are averaged over processes: the count is that of all of them
        loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def evaluate(self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval") -> Any:
        """The task's scores on the validation examples."""
        assert self._scores is not None
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in self._scores(self.model).items()}
        self.log(metrics)
        control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)  # type: ignore[has-type]
        self.control = control
        return metrics

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._writing or super()._get_output_dir(trial))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step = self.state.global_step
        target = self.folder / f"checkpoint-{step}"
        # Trainer writes into <here>/checkpoint-<step>, which is not named so for us until it is whole
        self._writing = partial_name(target)
        if self.args.should_save:
            shutil.rmtree(self._writing, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        super()._save_checkpoint(model, trial)
        written, self._writing = self._writing / target.name, None
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            write_task_file(written, self.task, self.encoding.max_length, self.encoding.stride)
            checkpoints.commit(written, target, step)
            written.parent.rmdir()
            steps = [step for step, _ in checkpoints.list_checkpoints(self.folder)]
            best = checkpoints.best_step(self.state.log_history, self.task.metric, self.task.greater_is_better, steps)
            checkpoints.remove_old(self.folder, self.keep, best)
        self.accelerator.wait_for_everyone()

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the model; whole where it is sharded."""
        if self.is_fsdp_enabled:
            self._save(output_dir, state_dict=sharding.gather_weights(self.model))
        else:
            super().save_model(output_dir, _internal_call)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.is_fsdp_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        sharding.save_optimizer(self.model, self.optimizer.optimizer, Path(output_dir), self.args.should_save)
        if self.args.should_save:
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir, SCHEDULE))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self.is_fsdp_enabled:
            if not Path(resume_from_checkpoint, sharding.OPTIMIZER).exists():
                raise ValueError(f"{resume_from_checkpoint} was not written with fsdp: resume it without")
            sharding.load_weights(self.model, Path(resume_from_checkpoint))
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or not Path(checkpoint, sharding.OPTIMIZER).exists():
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        # also where one process goes on with what several sharded
        optimizer = getattr(self.optimizer, "optimizer", self.optimizer)
        sharding.load_optimizer(self.model, optimizer, Path(checkpoint))
        self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint, SCHEDULE), weights_only=True))


class _SetEpoch(TrainerCallback):
    """Tells the order of rows which epoch begins."""

    def __init__(self, order: RowOrder) -> None:
        self.order = order

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set it from the steps taken: Trainer's own count is a fraction in a resumed epoch."""
        self.order.epoch = state.global_step // self.order.steps
