"""PMP around transformers' Mask2Former, MaskFormer and EoMT: what closed gates leave, what open gates change."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.backbones.query_hosts.models import KINDS, QUERIES, build
from wordmask.backbones.query_hosts.base import POSITIONS, QueryHost, QueryOutputs
from wordmask.backbones.query_hosts.reading import adapter
from wordmask.errors import CheckpointError
from wordmask.methods.pmp.guided_host import GuidanceSettings, GuidedHost
from wordmask.methods.pmp.text_query_attention import PromptTokens

TEXT = 12
SETTINGS = GuidanceSettings(text_channels=TEXT)


@cache
def plain(kind: str) -> Any:
    """The model as transformers runs it; torch chooses other kernels where weights need a gradient."""
    return build(kind).requires_grad_(False)


@cache
def expected(kind: str) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Class logits and masks of all outputs of transformers' own forward pass that it hands out."""
    with torch.no_grad():
        if kind == "mask2former":
            output = plain(kind)(pixels(), output_auxiliary_logits=True)
            others = output.auxiliary_logits
        else:
            output, others = plain(kind)(pixels()), []
    classes = (*(one["class_queries_logits"] for one in others), output.class_queries_logits)
    return classes, (*(one["masks_queries_logits"] for one in others), output.masks_queries_logits)


def pixels() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))


def prompts(number: int = 4, *, images: int = 1, seed: int = 5) -> PromptTokens:
    return PromptTokens(torch.randn(images, number, TEXT, generator=torch.Generator().manual_seed(seed)))


@cache
def guided(kind: str, settings: GuidanceSettings = SETTINGS, gates: float = 0.0) -> GuidedHost:
    position = None if settings.position == "host" else settings.position
    model = GuidedHost(adapter(build(kind), position), settings).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(7)
    for layer in model.guidance.attentions:
        if gates:
            layer.gate.normal_(std=gates, generator=generator)
    return model


@torch.no_grad()
def run(model: GuidedHost, asked: PromptTokens | None) -> QueryOutputs:
    return model.decode(model.encode(pixels()), asked)


def assert_is_the_host(kind: str, model: QueryHost, outputs: QueryOutputs) -> None:
    classes, masks = expected(kind)
    assert len(outputs.masks) == len(outputs.states) == model.guided + (kind != "maskformer")
    for ours, theirs in zip(outputs.masks[-len(masks) :], masks, strict=True):
        assert torch.equal(ours, theirs)
    for state, theirs in zip(outputs.states[-len(classes) :], classes, strict=True):
        assert torch.equal(model.classify(state), theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_published_state_dict_lacks_exactly_the_attention(kind: str) -> None:
    model = guided(kind)
    missing, unexpected = model.host.model.load_state_dict(plain(kind).state_dict(), strict=False)
    own = {f"pmp.{name}" for name in model.guidance.state_dict()}
    assert unexpected == []
    assert set(missing) == own
    assert len(own) == 5 + 11 * model.host.guided  # null, norm and projection, and 11 tensors a layer


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_closed_gates_give_the_hosts_outputs_bit_for_bit(kind: str, position: str) -> None:
    model = guided(kind, replace(SETTINGS, position=position))
    padding = torch.tensor([[False, True, False], [False, False, True]])
    for asked in (prompts(5), prompts(3, images=2)._replace(padding=padding)):
        assert_is_the_host(kind, model.host, run(model, asked))


@pytest.mark.parametrize("kind", KINDS)
def test_closed_gates_on_the_initial_queries_too(kind: str) -> None:
    assert_is_the_host(kind, (model := guided(kind, replace(SETTINGS, initial=True))).host, run(model, prompts()))


@pytest.mark.parametrize("position", ["pre", "post_sa", "post_ffn"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_postnorm_variant_changes_the_host(kind: str, position: str) -> None:
    outputs = run(guided(kind, replace(SETTINGS, variant="postnorm", position=position)), prompts())
    assert not torch.equal(outputs.masks[-1], expected(kind)[1][-1])


@pytest.mark.parametrize("kind", KINDS)
def test_without_prompts_open_gates_give_the_hosts_outputs(kind: str) -> None:
    model = guided(kind, gates=1.0)
    blank = prompts(3, images=2)._replace(padding=torch.ones(2, 3, dtype=torch.bool))
    for nothing in (None, prompts(0), blank):
        assert_is_the_host(kind, model.host, run(model, nothing))
    first = blank._replace(padding=torch.tensor([[True] * 3, [False] * 3]))  # one image of two has none
    outputs = run(model, first)
    assert torch.equal(outputs.masks[-1][0], expected(kind)[1][-1][0])
    assert not torch.equal(outputs.masks[-1][1], expected(kind)[1][-1][1])


@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_another_prompt_gives_other_masks_at_every_output_that_is_guided(kind: str, initial: bool) -> None:
    model = guided(kind, replace(SETTINGS, initial=initial), gates=1.0)
    one, other = (run(model, prompts(1, seed=seed)) for seed in (1, 2))
    change = [float((a - b).abs().max()) for a, b in zip(one.masks, other.masks, strict=True)]
    unguided = kind != "maskformer" and not initial  # MaskFormer predicts nothing from its initial queries
    assert [value > 1e-3 for value in change] == [not (unguided and index == 0) for index in range(len(change))]


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_prompts_leaves_the_masks(kind: str) -> None:
    model, asked = guided(kind, gates=0.3), prompts(6)
    turned = PromptTokens(asked.tokens[:, torch.randperm(6, generator=torch.Generator().manual_seed(0))])
    one, other = run(model, asked), run(model, turned)
    scale = float(one.masks[-1].abs().max())
    for a, b in zip(one.states, other.states, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
    torch.testing.assert_close(one.masks[-1] / scale, other.masks[-1] / scale, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind: str) -> None:
    model, asked = guided(kind, gates=1.0), prompts(3)
    garbage = torch.cat([asked.tokens, torch.full((1, 2, TEXT), float("nan"))], dim=1)
    padded = PromptTokens(garbage, torch.tensor([[False] * 3 + [True] * 2]))
    for one, other in zip(run(model, asked).masks, run(model, padded).masks, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", ["mask2former", "maskformer"])
def test_a_query_made_from_the_prompt_comes_last(kind: str) -> None:
    model = guided(kind, replace(SETTINGS, prompt_query=True), gates=1.0)
    one, other = (run(model, prompts(1, seed=seed)).masks[-1] for seed in (1, 2))
    assert one.shape[1] == QUERIES + 1
    assert (one[:, -1] - other[:, -1]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_step_moves_the_gates_and_the_second_the_attention(kind: str) -> None:
    model = GuidedHost(adapter(build(kind), None), SETTINGS).eval()
    optimiser = torch.optim.SGD(model.guidance.parameters(), lr=1e-3)
    for step in range(2):
        optimiser.zero_grad()
        outputs = model.decode(model.encode(pixels()), prompts(3))
        torch.autograd.backward(outputs.states[-1].square().sum() + outputs.masks[-1].sigmoid().sum())
        for layer in model.guidance.attentions:
            gradients = [linear.weight.grad for linear in (layer.query, layer.key, layer.value, layer.out)]
            assert layer.gate.grad is not None
            assert (layer.gate.grad != 0).all()
            assert [bool(value is not None and value.abs().max() > 0) for value in gradients] == [step == 1] * 4
        optimiser.step()


@pytest.mark.parametrize("kind", KINDS)
def test_calls_in_several_threads_do_not_see_each_others_prompts(kind: str) -> None:
    model, asked = guided(kind, gates=1.0), [None, *(prompts(2, seed=seed) for seed in range(5))]
    expected = [run(model, one).masks[-1] for one in asked]
    with ThreadPoolExecutor(3) as pool:
        for found, own in zip(pool.map(lambda one: run(model, one).masks[-1], asked), expected, strict=True):
            assert torch.equal(found, own)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_guides_itself(kind: str) -> None:
    model = guided(kind, gates=1.0)
    other = copy.deepcopy(model)
    for layer in other.guidance.attentions:
        torch.nn.init.zeros_(layer.gate)
    assert_is_the_host(kind, other.host, run(other, prompts()))
    assert not torch.equal(run(model, prompts()).masks[-1], run(other, prompts()).masks[-1])


def test_a_query_with_an_empty_mask_attends_everywhere() -> None:
    decoder = plain("mask2former").model.transformer_module.decoder
    seen: list[Tensor] = []
    hook = decoder.layers[0].register_forward_pre_hook(
        lambda layer, inputs, options: seen.append(options["encoder_attention_mask"]), with_kwargs=True
    )
    with torch.no_grad():
        output = plain("mask2former")(pixels(), output_auxiliary_logits=True)
    hook.remove()
    masks = output.auxiliary_logits[0]["masks_queries_logits"]
    small = torch.nn.functional.interpolate(masks, size=(2, 2), mode="bilinear", align_corners=False)
    hidden = (small.sigmoid() < 0.5).flatten(2)  # (B, Q, cells)
    hidden &= ~hidden.all(-1, keepdim=True)
    assert torch.equal(seen[0][:: seen[0].shape[0] // 2].bool(), hidden)
    assert (small.sigmoid() < 0.5).flatten(2).all(-1).any(), "no query with an empty mask: choose another seed"
    assert not hidden.all(-1).any()


def test_attention_masks_pass_no_gradient() -> None:
    predictor = build("mask2former").model.transformer_module.decoder.mask_predictor
    state = torch.randn(QUERIES, 1, 32, requires_grad=True)
    masks, attention = predictor(state, torch.randn(1, 32, 4, 4), (2, 2))
    assert masks.requires_grad
    assert not attention.requires_grad


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"position 'after'.*post_sa"):
        adapter(plain("eomt"), "after")
    with pytest.raises(CheckpointError, match="pre_norm"):
        adapter(build("mask2former", pre_norm=True), None)
