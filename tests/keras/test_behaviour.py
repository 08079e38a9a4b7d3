"""Training, saving, exporting and refusing, in a process for each backend."""

import pytest

from tests.keras.support import run

# JAX has no graph of open lengths, and exports by way of TensorFlow; TensorFlow does not tell what memory XLA takes
ONLY = {
    "one_graph_serves_every_length": "tensorflow",
    "exports_to_a_saved_model": "tensorflow",
    "memory_for_a_token_is_flat": "jax",
}
QUICK = (
    "signatures_name_every_argument",
    "window_attention_equals_dense",
    "first_argument_may_be_a_dict_or_a_list",
    "a_functional_model_may_hold_one",
    "bad_input_is_refused",
    "shapes_that_do_not_fit_are_refused",
    "global_tokens_beyond_the_slots_raise",
    "head_mask_scales_heads",
    "softmax_by_default_is_told",
    "a_loss_of_keras_sees_logits_and_labels",
    "what_fit_cannot_use_is_told",
    "weighted_metrics_leave_out_what_is_no_target",
    "numbers_among_the_labels_are_not_rounded",
    "a_checkpoint_is_replaced_whole",
    "a_saved_model_returns_the_same",
    "fit_learns_from_y_and_from_x",
    "a_word_steps_once_however_often_it_occurs",
)
SLOW = (
    "other_heads_train",
    "mixed_precision_is_near_and_trains",
    "compiles_by_xla",
    "dropout_drops_only_in_training",
    "global_tokens_beyond_the_slots_are_nan_where_nothing_can_raise",
)


def check(backend, folder, *names):
    wanted = [name for name in names if ONLY.get(name, backend) == backend]
    assert run(backend, "tests.keras.behaviour", folder, *wanted)[-len(wanted) :] == wanted


def test_behaviour_on_tensorflow(ragged):
    check("tensorflow", ragged, *QUICK)


def test_behaviour_on_jax(ragged):
    check("jax", ragged, "memory_for_a_token_is_flat")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_behaviour_that_compiles(ragged, backend):
    check(backend, ragged, *QUICK, *SLOW, *ONLY)
