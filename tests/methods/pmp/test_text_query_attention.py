"""The text-query attention layer and the guidance of all layers of a decoder."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wordmask.methods.pmp.text_query_attention import VARIANTS, PromptGuidance, PromptTokens, TextQueryAttention

CHANNELS, TEXT, QUERIES = 16, 12, 5


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def guidance(
    *, open_gates: bool = True, null: bool = True, kinds: bool = False, variant: str = "gated"
) -> PromptGuidance:
    module = PromptGuidance(
        text_channels=TEXT, channels=CHANNELS, layers=2, heads=4, null=null, kinds=kinds, variant=variant
    )
    if open_gates and variant == "gated":
        for layer in module.attentions:
            torch.nn.init.normal_(layer.gate)
    return module


def guided(module: PromptGuidance, prompts: PromptTokens | None, queries: Tensor | None = None) -> Tensor:
    """Both layers, one after the other."""
    generator = torch.Generator().manual_seed(1)
    queries = torch.randn(2, QUERIES, CHANNELS, generator=generator) if queries is None else queries
    positions = torch.randn(QUERIES, CHANNELS, generator=generator)
    memories = module(prompts)
    for layer in range(2):
        queries = module.guide(layer, queries, memories, positions)
    return queries


def test_a_layer_of_256_channels_has_263936_parameters() -> None:
    layer = TextQueryAttention(256)
    assert sum(weight.numel() for weight in layer.parameters()) == 263_936
    module = PromptGuidance(text_channels=768, channels=256, layers=9, null=False)
    assert sum(weight.numel() for layer in module.attentions for weight in layer.parameters()) == 2_375_424


@pytest.mark.parametrize("positions", [None, torch.randn(QUERIES, CHANNELS)])
def test_a_layer_equals_multi_head_attention_of_torch(positions: Tensor | None) -> None:
    layer = TextQueryAttention(CHANNELS, heads=4, gate=0.7)
    reference = torch.nn.MultiheadAttention(CHANNELS, 4, batch_first=True)
    with torch.no_grad():
        linears = (layer.query, layer.key, layer.value)
        for linear in (*linears, layer.out):
            linear.bias.normal_()
        reference.in_proj_weight.copy_(torch.cat([linear.weight for linear in linears]))
        reference.in_proj_bias.copy_(torch.cat([linear.bias for linear in linears]))
        reference.out_proj.weight.copy_(layer.out.weight)
        reference.out_proj.bias.copy_(layer.out.bias)
    queries, tokens = torch.randn(2, QUERIES, CHANNELS), torch.randn(2, 3, CHANNELS)
    padding = torch.tensor([[False, False, True], [False, True, False]])
    asked = layer.norm(queries) + (0 if positions is None else positions)
    expected = queries + 0.7 * reference(asked, tokens, tokens, key_padding_mask=padding)[0]
    torch.testing.assert_close(layer(queries, layer.memory(tokens, padding), positions), expected, rtol=0, atol=1e-6)


def test_closed_gates_are_the_identity_bit_for_bit() -> None:
    queries = torch.randn(2, QUERIES, CHANNELS)
    prompts = PromptTokens(torch.randn(2, 4, TEXT), torch.rand(2, 4) > 0.6)
    assert torch.equal(guided(guidance(open_gates=False), prompts, queries), queries)
    assert not torch.equal(guided(guidance(), prompts, queries), queries)


def test_the_postnorm_variant_is_never_the_identity() -> None:
    queries = torch.randn(2, QUERIES, CHANNELS)
    module = guidance(variant="postnorm")
    for layer in module.attentions:
        torch.nn.init.zeros_(layer.out.weight)
    changed = guided(module, PromptTokens(torch.randn(2, 4, TEXT)), queries)
    assert (changed - queries).abs().max() > 1e-3
    assert {name.rpartition(".")[2] for name, _ in module.named_parameters() if "gate" in name} == set()


def test_the_first_step_moves_the_gates_and_the_second_the_attention() -> None:
    module = guidance(open_gates=False)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    prompts = PromptTokens(torch.randn(2, 4, TEXT))
    for step in range(2):
        optimiser.zero_grad()
        torch.autograd.backward(guided(module, prompts).square().sum())
        for layer in module.attentions:
            assert layer.gate.grad is not None
            assert (layer.gate.grad != 0).all()
            linears = (layer.query, layer.key, layer.value, layer.out)
            largest = [float(linear.weight.grad.abs().max()) for linear in linears]  # type: ignore[union-attr]
            assert [value > 0 for value in largest] == [step == 1] * 4
        optimiser.step()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_order_of_prompts_does_not_matter(variant: str) -> None:
    module, tokens = guidance(variant=variant), torch.randn(2, 6, TEXT)
    padding, order = torch.rand(2, 6) > 0.7, torch.randperm(6)
    one, other = (guided(module, PromptTokens(tokens[:, p], padding[:, p])) for p in (slice(None), order))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("null", [True, False])
def test_padding_changes_no_bit_whatever_it_holds(null: bool) -> None:
    module, tokens = guidance(null=null), torch.randn(2, 4, TEXT)
    expected = guided(module, PromptTokens(tokens))
    garbage = torch.cat([tokens, torch.full((2, 3, TEXT), float("nan"))], dim=1)
    padding = torch.arange(7).expand(2, 7) >= 4
    assert torch.equal(guided(module, PromptTokens(garbage, padding)), expected)
    padding = torch.tensor([[False, False, False, True], [False] * 4])  # in one row only
    poisoned = tokens.clone()
    poisoned[0, 3] = float("inf")
    torch.testing.assert_close(
        guided(module, PromptTokens(poisoned, padding))[0],
        guided(module, PromptTokens(tokens[:, :3]))[0],
        rtol=0,
        atol=1e-6,
    )


def test_another_prompt_changes_the_queries() -> None:
    module = guidance()
    first, second = (guided(module, PromptTokens(torch.randn(1, 1, TEXT))) for _ in range(2))
    assert (first - second).abs().max() > 1e-3


@pytest.mark.parametrize("null", [True, False])
def test_without_a_prompt_queries_stay_as_they_are(null: bool) -> None:
    module, queries = guidance(null=null), torch.randn(2, QUERIES, CHANNELS, requires_grad=True)
    for nothing in (
        None,
        PromptTokens(torch.zeros(1, 0, TEXT)),
        PromptTokens(torch.randn(2, 3, TEXT), torch.ones(2, 3, dtype=torch.bool)),
    ):
        assert guided(module, nothing, queries) is queries
    padding = torch.tensor([[True] * 3, [False, False, True]])
    result = guided(module, PromptTokens(torch.randn(2, 3, TEXT), padding), queries)
    assert torch.equal(result[0], queries[0])
    assert not torch.equal(result[1], queries[1])
    torch.autograd.backward(result.sum())
    assert queries.grad is not None
    assert queries.grad.isfinite().all()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in module.parameters())


def test_a_null_token_makes_the_answer_depend_on_the_query() -> None:
    queries, prompt = torch.randn(1, QUERIES, CHANNELS), PromptTokens(torch.randn(1, 1, TEXT))
    for null, varies in ((False, False), (True, True)):
        layer = (module := guidance(null=null)).attentions[0]
        memories = module(prompt)
        assert memories is not None
        change = layer(queries, memories[0]) - queries
        assert bool((change - change[:, :1]).abs().max() > 1e-4) == varies


def test_keys_and_values_of_a_vocabulary_serve_any_number_of_images() -> None:
    module, tokens = guidance(), torch.randn(1, 7, TEXT)
    shared, repeated = (guided(module, PromptTokens(t)) for t in (tokens, tokens.expand(2, -1, -1)))
    torch.testing.assert_close(shared, repeated, rtol=0, atol=1e-6)


def test_kinds_of_tokens_are_told_apart_once_they_are_learned() -> None:
    module, tokens = guidance(kinds=True), torch.randn(1, 2, TEXT)
    first, second = (PromptTokens(tokens, None, torch.tensor([kinds])) for kinds in ([0, 1], [1, 2]))
    assert torch.equal(guided(module, first), guided(module, second))
    assert torch.equal(guided(module, first), guided(module, PromptTokens(tokens)))
    assert module.kinds is not None
    torch.nn.init.normal_(module.kinds.weight)
    assert not torch.equal(guided(module, first), guided(module, second))
