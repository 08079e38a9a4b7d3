"""Our arguments as those of ``transformers.Trainer``; and the process group, which these start."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from longspan.predict.loading import FAMILIES
from longspan.train.arguments import Arguments

if TYPE_CHECKING:
    from transformers import TrainingArguments

WAIT = timedelta(days=7)
"""How long processes wait for each other: the others do while the first reads the data."""


def training_arguments(arguments: Arguments, folder: Path, family: str) -> TrainingArguments:
    """Arguments for ``Trainer``, all but the steps, which depend on the number of rows.

    Under ``torchrun`` and ``accelerate launch`` this connects the processes.

    Args:
        arguments: ours.
        folder: of the checkpoints.
        family: of the model.
    """
    import torch
    from transformers import TrainingArguments

    cpu = arguments.cpu or not (torch.cuda.is_available() or torch.backends.mps.is_available())
    if cpu and int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo", timeout=WAIT)  # Trainer's ddp_timeout is for accelerators only
    settings = TrainingArguments(
        output_dir=str(folder),
        max_steps=1,
        per_device_train_batch_size=arguments.batch,
        gradient_accumulation_steps=arguments.accumulate,
        learning_rate=arguments.lr,
        weight_decay=arguments.weight_decay,
        lr_scheduler_type=arguments.schedule,
        warmup_steps=arguments.warmup,
        max_grad_norm=arguments.clip,
        optim="adamw_torch",
        adam_beta1=0.9,
        adam_beta2=0.999,
        adam_epsilon=1e-8,
        bf16=arguments.bf16,
        activation_checkpointing=arguments.checkpointing,
        seed=arguments.seed,
        save_strategy="steps",
        eval_strategy="steps",
        save_steps=1,
        eval_steps=1,
        report_to=[],
        disable_tqdm=True,
        log_level="error",
        log_level_replica="error",
        use_cpu=cpu,
        ddp_find_unused_parameters=False,
        ddp_timeout=int(WAIT.total_seconds()),
        dataloader_pin_memory=not cpu,
        fsdp=arguments.fsdp or None,
        fsdp_config=_sharding(family) if arguments.fsdp else None,
    )
    # one device a process: more than one is the business of torchrun
    settings._n_gpu = min(settings.n_gpu, 1)
    return settings


def set_steps(settings: TrainingArguments, total: int, between: int, validates: bool, fresh: bool) -> None:
    """Set what depends on the data.

    Args:
        settings: changed in place.
        total: optimizer steps.
        between: steps from one checkpoint to the next, each after an evaluation.
        validates: whether there is anything to evaluate on.
        fresh: whether the run begins; then the start is scored too, which also shows that it can be.
    """
    settings.max_steps = total
    settings.save_steps = settings.eval_steps = between
    settings.logging_steps = max(1, total // 100)
    settings.eval_on_start = fresh and validates
    if not validates:
        settings.eval_strategy = "no"


def _sharding(family: str) -> dict[str, str]:
    # whole weights in the checkpoints, which one process can load; a layer is a unit
    return {"state_dict_type": "FULL_STATE_DICT", "transformer_layer_cls_to_wrap": f"{FAMILIES[family]}Layer"}
