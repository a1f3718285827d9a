"""Which prompts an image gets in a step of training."""

from __future__ import annotations

from collections import Counter

import numpy as np

from wordmask.training.pmp.prompt_sampling import PromptSampling, sample_prompts

PRESENT, ABSENT = (0, 2, 5, 6, 9), (1, 3, 4, 7)


def test_targets_are_exactly_the_prompts_that_are_present() -> None:
    random, kinds = np.random.default_rng(0), Counter[str]()
    for _ in range(4000):
        prompts, targets = sample_prompts(PRESENT, ABSENT, random, PromptSampling())
        assert len(set(prompts)) == len(prompts)
        told = sorted(set(prompts) & set(PRESENT))
        assert len(set(prompts) & set(ABSENT)) <= 3
        if not prompts:
            kinds["unguided"] += 1
            assert targets == PRESENT
            continue
        assert list(targets) == told
        assert not set(targets) & set(ABSENT)
        kind = "absent" if not told else "full" if len(told) == len(PRESENT) else f"few {len(told)}"
        kinds[kind] += 1
    expected = {"unguided": 0.1, "full": 0.5, "absent": 0.05, "few 1": 0.35 / 3, "few 2": 0.35 / 3, "few 3": 0.35 / 3}
    assert kinds.keys() == expected.keys()
    for kind, part in expected.items():
        assert abs(kinds[kind] / 4000 - part) < 0.03, kind


def test_the_order_of_prompts_is_drawn() -> None:
    settings = PromptSampling(unguided=0, full=1, absent=0)
    orders = {sample_prompts(PRESENT, ABSENT, np.random.default_rng(seed), settings).prompts for seed in range(20)}
    assert len(orders) > 15
    assert any(prompts[0] in ABSENT for prompts in orders)


def test_images_that_lack_one_kind() -> None:
    random = np.random.default_rng(0)
    settings = PromptSampling(unguided=0, absent=1, full=0)
    assert sample_prompts((), (), random, settings) == ((), ())
    for _ in range(50):
        prompts, targets = sample_prompts((), ABSENT, random, settings)
        assert 1 <= len(prompts) <= 3
        assert targets == ()
        prompts, targets = sample_prompts(PRESENT, (), random, settings)
        assert prompts
        assert tuple(sorted(prompts)) == targets


def test_draws_repeat() -> None:
    one, other = (sample_prompts(PRESENT, ABSENT, np.random.default_rng([1, 2, 3]), PromptSampling()) for _ in range(2))
    assert one == other
