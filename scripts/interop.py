# SPDX-License-Identifier: Apache-2.0
"""A training loop, sampling, saves and loads, and REST by the official SDK; see scripts/interop."""
import tinker
from tinker import types

service = tinker.ServiceClient()
models = [m.model_name for m in service.get_server_capabilities().supported_models]
assert "tkx/bytes" in models, models
run = service.create_lora_training_client(base_model="tkx/bytes", rank=8, seed=7)


def datum(text):
    tokens = list(text) + [256]
    return types.Datum(
        model_input=types.ModelInput.from_ints(tokens[:-1]),
        loss_fn_inputs={"target_tokens": tokens[1:], "weights": [1.0] * (len(tokens) - 1)},
    )


batch = [datum(b"hello world"), datum(b"hello there")]
losses = []
for _ in range(30):
    passed = run.forward_backward(batch, "cross_entropy")
    stepped = run.optim_step(types.AdamParams(learning_rate=5e-3))
    losses.append(passed.result().metrics["loss:sum"])
    assert "grad_norm" in stepped.result().metrics
assert losses[-1] < losses[0] / 10, losses
print(f"loss {losses[0]:.2f} -> {losses[-1]:.2f}")

state = run.save_state("state").result()
sampler = run.save_weights_and_get_sampling_client("ephemeral")
prompt = types.ModelInput.from_ints(list(b"hel"))
greedy = types.SamplingParams(max_tokens=20, temperature=0.0)
sequence = sampler.sample(prompt=prompt, num_samples=2, sampling_params=greedy).result().sequences[0]
text = bytes(t for t in sequence.tokens if t < 256).decode()
assert text.startswith("lo "), text
assert sequence.stop_reason == "stop"
print("sample: hel" + text)
scores = sampler.compute_logprobs(prompt).result()
assert scores[0] is None and len(scores) == 3
many = [
    sampler.sample(prompt=prompt, num_samples=1,
                   sampling_params=types.SamplingParams(max_tokens=4, seed=i)) for i in range(100)
]
assert all(len(f.result().sequences) == 1 for f in many)

named = run.save_weights_for_sampler("named").result()
again = service.create_sampling_client(model_path=named.path)
assert again.sample(prompt=prompt, num_samples=1, sampling_params=greedy).result().sequences[0].tokens == sequence.tokens

resumed = service.create_training_client_from_state_with_optimizer(state.path)
first = run.forward_backward(batch, "cross_entropy").result().metrics
second = resumed.forward_backward(batch, "cross_entropy").result().metrics
assert first == second, (first, second)

try:
    bad = types.Datum(model_input=types.ModelInput.from_ints([1]),
                      loss_fn_inputs={"target_tokens": [999], "weights": [1.0]})
    run.forward_backward([bad], "cross_entropy").result()
    raise SystemExit("a token outside of the vocabulary was taken")
except tinker.RequestFailedError as e:
    print("refused:", str(e)[:80])

rest = service.create_rest_client()
runs = rest.list_training_runs().result().training_runs
assert len(runs) == 2, runs
assert {c.checkpoint_id for c in rest.list_user_checkpoints().result().checkpoints} == {
    "weights/state", "sampler_weights/named"}
rest.publish_checkpoint_from_tinker_path(named.path).result()
rest.unpublish_checkpoint_from_tinker_path(named.path).result()
rest.set_checkpoint_ttl_from_tinker_path(named.path, 7200).result()
assert rest.get_weights_info_by_tinker_path(state.path).result().lora_rank == 8
assert len(rest.list_sessions().result().sessions) >= 1
if hasattr(rest, "get_checkpoint_archive_url_from_tinker_path"):
    assert rest.get_checkpoint_archive_url_from_tinker_path(named.path).result().url
if hasattr(rest, "copy_weights"):
    copied = rest.copy_weights(state.path, "another-project", ttl_seconds=3600).result()
    assert copied.endswith("/weights/state"), copied
    rest.delete_checkpoint_from_tinker_path(copied).result()
rest.delete_checkpoint_from_tinker_path(named.path).result()

try:
    import torch
except ImportError:
    print("custom losses: left out, there is no torch here")
    torch = None


def squares(data, logprobs):
    """A loss of the caller's own: forward, its gradient here, backward with linear weights."""
    loss = sum((l * l).sum() for l in logprobs)
    return loss, {"mean_logprob": float(torch.cat([l.flatten() for l in logprobs]).mean())}


def policy(logprobs, old_logprobs, advantages):
    """The same as importance_sampling, written as a graph that the server runs."""
    ratio = torch.exp(logprobs - old_logprobs)
    return -(ratio * advantages).sum(), {"custom/ratio:mean": ratio.mean()}


def rl_datum(text):
    tokens = list(text)
    n = len(tokens) - 1
    return types.Datum(
        model_input=types.ModelInput.from_ints(tokens[:-1]),
        loss_fn_inputs={"target_tokens": tokens[1:], "old_logprobs": torch.full((n,), -1.5),
                        "advantages": torch.linspace(-1, 2, n)},
    )


def own_loss():
    client = service.create_lora_training_client(base_model="tkx/bytes", rank=4, seed=3)
    before = None
    for _ in range(4):
        result = client.forward_backward_custom(batch, squares)
        result = result.result() if hasattr(result, "result") else result
        client.optim_step(types.AdamParams(learning_rate=5e-3)).result()
        value = result.metrics["loss:sum" if "surrogate_loss:sum" in result.metrics else "mean_logprob"]
        before = value if before is None else before
    print(f"custom loss in the caller: {before:.3f} -> {value:.3f}")
    assert abs(value) < abs(before)


def server_loss():
    """Only where client/config turns it on; else the SDK runs the graph in the caller."""
    client = service.create_lora_training_client(base_model="tkx/bytes", rank=4, seed=3)
    handle = service.create_custom_loss(
        policy, {"logprobs": 1, "old_logprobs": 1, "advantages": 1}).result()
    data = [rl_datum(b"hello world"), rl_datum(b"good bye")]
    mine = client.forward_backward_custom(data, handle).result()
    builtin = [
        types.Datum(model_input=d.model_input,
                    loss_fn_inputs={("logprobs" if k == "old_logprobs" else k): v
                                    for k, v in d.loss_fn_inputs.items()}) for d in data
    ]
    theirs = client.forward_backward(builtin, "importance_sampling").result()
    gap = mine.metrics["loss:sum"] - theirs.metrics["loss:sum"]
    print(f"custom loss {'on the server' if handle.loss_id else 'of a graph in the caller'}: "
          f"{mine.metrics['loss:sum']:.6f}, importance_sampling off by {gap:.1e}")
    assert abs(gap) < 1e-4 * abs(theirs.metrics["loss:sum"])
    assert "custom/ratio:mean" in mine.metrics


if torch:
    own_loss()
    if hasattr(service, "create_custom_loss"):
        server_loss()
print("agreed")
