"""Trainings from data to a run folder that loads, with tiny random models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import wordmask
from tests.training.inputs import trained_weights, write_small_clipseg, write_table
from tests.training.running import PLAIN, TINY, lines, run, tiny
from wordmask.batch import Place
from wordmask.errors import MissingExtraError, TrainingError
from wordmask.methods.trainable import fingerprint_weights
from wordmask.training.recipe import with_changes
from wordmask.training.recipes import find_recipe


@pytest.mark.parametrize(("kind", "parts"), [("clipseg", ["decoder"]), ("compact", ["neck", "decoder"])])
def test_a_run_folder_says_everything_and_loads(
    kind: str, parts: list[str], models: Path, table: Path, tmp_path: Path
) -> None:
    seen = []
    record = run(table, models / kind, tiny(accumulate=2), watch=seen.append)

    folder = tmp_path / "run"
    assert record == json.loads((folder / "run.json").read_text())
    assert (record["state"], record["steps"], record["images_seen"]) == ("finished", 3, 12)
    assert (record["model"]["parts"], record["model"]["size"]) == (parts, 32)
    assert (record["data"]["images"], record["validation"]["images"]) == (11, 1)
    assert record["versions"]["accelerate"]
    assert record["recipe"] == json.loads(json.dumps(tiny(accumulate=2).to_json()))
    assert [report.step for report in seen] == [0, 1, 2, 3]
    assert seen[3].images_per_second > 0
    assert [line["step"] for line in lines(folder)] == [0, 1, 2, 3]
    assert ["valid_iou" in line for line in lines(folder)] == [True, False, True, True]
    best, last = wordmask.load(folder / "best", device="cpu"), wordmask.load(folder / "last", device="cpu")
    assert best.segment(table.parent / "photos" / "0.png", "red square").size == (48, 48)
    before = load_file(models / kind / "model.safetensors")
    after = load_file(folder / "last" / "model.safetensors")
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name].float(), after[name].float())}
    assert changed == set(parts)
    assert last.name != wordmask.load(models / kind, device="cpu").name


def test_the_trained_model_answers_as_it_did_in_training(models: Path, table: Path, tmp_path: Path) -> None:
    recipe = tiny(parts=("encoder", "neck", "decoder"), norms="trained")
    run(table, models / "compact", recipe)
    model = recipe.method.open(tmp_path / "run" / "last", recipe.schedule)
    photo = table.parent / "photos" / "0.png"
    live = model.segmenter().segment(photo, "red square")[0].heatmap_logits.values
    loaded = (
        wordmask.load(tmp_path / "run" / "last", device="cpu", dtype="float32")
        .segment(photo, "red square")[0]
        .heatmap_logits.values
    )
    np.testing.assert_allclose(live, loaded, atol=1e-4)  # norms folded or not


@pytest.mark.parametrize("kind", ["clipseg", "compact"])
def test_no_gradient_reaches_the_frozen_parts(kind: str, models: Path, table: Path) -> None:
    from wordmask.data.csv_table import CsvTable
    from wordmask.training.augmentation import AugmentedSet
    from wordmask.training.data import Subset

    recipe = tiny()
    model: Any = recipe.method.open(models / kind, recipe.schedule)
    model.train()
    samples = Subset(CsvTable(table), (0, 1, 2, 3))
    data = AugmentedSet(samples, recipe.data, model, recipe.schedule)  # type: ignore[arg-type]
    batch = data.collate([data[Place(0, index)] for index in range(4)])
    before = fingerprint_weights(model.frozen())

    sum(model.loss(batch, 0).values()).backward()

    frozen = [weight for module in model._frozen.values() for weight in module.parameters()]
    assert len(frozen) > 10
    assert all(weight.grad is None and not weight.requires_grad for weight in frozen)
    missing = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert missing == []
    assert any(weight.grad.abs().sum() > 0 for weight in model.parameters())
    assert fingerprint_weights(model.frozen()) == before
    with torch.no_grad():
        frozen[0].view(-1)[0] += 1e-6
    assert fingerprint_weights(model.frozen()) != before  # a single bit is noticed


def test_a_frozen_part_that_changes_is_noticed(models: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wordmask.training.loop as loop

    seen = iter("a")  # before the first step; then after the last one
    monkeypatch.setattr(loop, "fingerprint_weights", lambda weights: next(seen, "b"))
    with pytest.raises(TrainingError, match="a frozen part that changed"):
        run(table, models / "compact", tiny())


def test_eight_images_are_memorised(tmp_path: Path) -> None:
    table = write_table(tmp_path / "eight", 8, 32)
    model = write_small_clipseg(tmp_path / "wide", reduce_dim=64, decoder_intermediate_size=128)
    recipe = tiny(
        **PLAIN, distillation=0.0, steps=200, batch=8, prompts=2, lr=3e-3, final_lr=3e-4, dice=0.0, balanced_bce=0.0,
        valid_every=0, save_every=1000,
    )  # fmt: skip
    seen = []
    run(table, model, recipe, watch=seen.append)
    losses = [sum(report.losses.values()) for report in seen[1:]]
    assert losses[0] / losses[-1] >= 10
    found = wordmask.load(tmp_path / "run" / "last", device="cpu")
    mask = np.asarray(Image.open(sorted((table.parent / "masks").glob("0-*"))[0])) > 0
    phrase = sorted((table.parent / "masks").glob("0-*"))[0].stem.split("-")[1] + " square"
    answer = found.segment(table.parent / "photos" / "0.png", phrase, threshold=0.5)[0].mask
    assert (answer & mask).sum() / (answer | mask).sum() > 0.8


def test_parts_of_a_batch_add_up_to_the_batch(models: Path, table: Path, tmp_path: Path) -> None:
    for parts in (1, 4):
        run(table, models / "clipseg", tiny(accumulate=parts, valid_every=0), out=f"run-{parts}")
    whole, split = (trained_weights(tmp_path / f"run-{parts}") for parts in (1, 4))
    assert len(whole) > 20
    for name, weight in whole.items():
        torch.testing.assert_close(split[name], weight, rtol=0, atol=1e-5)


def test_a_finished_run_is_not_run_again_and_another_one_needs_a_folder(models: Path, table: Path) -> None:
    seen = []
    first = run(table, models / "compact", tiny())
    assert run(table, models / "compact", tiny(), watch=seen.append) == first
    assert seen == []
    with pytest.raises(TrainingError, match=r"another run .*: its recipe\.schedule\.lr is '0\.0003', not '0\.001'"):
        run(table, models / "compact", tiny(lr=1e-3))
    photo = table.parent / "masks" / sorted(path.name for path in (table.parent / "masks").iterdir())[0]
    Image.fromarray(np.full((48, 48), 255, np.uint8)).save(photo)
    with pytest.raises(TrainingError, match=r"its data\.fingerprint"):
        run(table, models / "compact", tiny())


def test_best_is_the_start_where_nothing_was_better(models: Path, table: Path, tmp_path: Path) -> None:
    record = run(table, models / "compact", tiny(lr=0.0, final_lr=0.0, weight_decay=0.0))
    assert record["best"]["step"] == 0
    before = load_file(models / "compact" / "model.safetensors")
    after = load_file(tmp_path / "run" / "best" / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_batch(
    accumulate: int, models: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wordmask.losses.masks as objectives
    from wordmask.losses import bce

    calls = []

    def broken(*args: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return bce(*args) * (float("nan") if len(calls) > accumulate else 1)  # from the second step on

    monkeypatch.setitem(objectives.MASK_LOSSES, "bce", broken)
    with pytest.raises(TrainingError, match=r"a loss that is not finite at step 2, .*bad-batch-2-0\.safetensors"):
        run(table, models / "compact", tiny(accumulate=accumulate, save_every=1))

    tensors = load_file(tmp_path / "run" / "bad-batch-2-0.safetensors")
    words = json.loads((tmp_path / "run" / "bad-batch-2-0.json").read_text())
    assert tensors["pixels"].shape == (4 // accumulate, 3, 32, 32)
    assert len(words["phrases"]) == len(tensors["masks"]) == 12 // accumulate
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000001"]
    kept = load_file(tmp_path / "run" / "checkpoints" / "step-00000001" / "model.safetensors")
    assert all(weight.isfinite().all() for weight in kept.values())

    monkeypatch.undo()  # whatever it was, it is gone: the run goes on
    assert run(table, models / "compact", tiny(accumulate=accumulate, save_every=1))["state"] == "finished"


def test_a_gradient_that_is_not_finite_stops(models: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wordmask.losses.masks as objectives
    from wordmask.losses import bce

    def steep(logits: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        return bce(logits, *rest) + (0 * logits).sum((1, 2)).abs().sqrt()  # its slope at 0 is none

    monkeypatch.setitem(objectives.MASK_LOSSES, "bce", steep)
    with pytest.raises(TrainingError, match="a gradient that is not finite at step 1"):
        run(table, models / "compact", tiny())


def test_a_fresh_decoder_needs_towers(models: Path, table: Path) -> None:
    with pytest.raises(TrainingError, match="expected the folder of a CLIP"):
        run(table, models / "compact", with_changes(find_recipe("phrasecut"), TINY | {"precision": "no"}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"parts": ("decoder", "tail")}, "the part 'tail', expected some of encoder, neck")],
)
def test_recipes_that_do_not_fit_the_model(changes: dict[str, Any], said: str, models: Path, table: Path) -> None:
    with pytest.raises(TrainingError, match=said):
        run(table, models / "compact", tiny(**changes))


def test_bfloat16_trains(models: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {}
    linear = torch.nn.Linear.forward

    def noted(self: torch.nn.Linear, values: torch.Tensor) -> torch.Tensor:
        answer = linear(self, values)
        if torch.is_grad_enabled() and self.weight.requires_grad:
            kinds[self.weight.dtype, answer.dtype] = True
        return answer

    monkeypatch.setattr(torch.nn.Linear, "forward", noted)
    run(table, models / "clipseg", tiny(precision="bf16"))
    assert list(kinds) == [(torch.float32, torch.bfloat16)]  # the weights stay exact, the products need not be
    assert {weight.dtype for weight in trained_weights(tmp_path / "run").values()} == {torch.float32}
    assert all(np.isfinite(line["bce"]) for line in lines(tmp_path / "run")[1:])
    assert wordmask.load(tmp_path / "run" / "last").name.startswith("clipseg-rd16")


@pytest.mark.parametrize("clip", [0.0, 1e-3])
def test_gradients_are_clipped_as_a_whole(
    clip: float, models: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = []
    step = torch.optim.AdamW.step

    def noted(self: torch.optim.AdamW, closure: Any = None) -> Any:
        gradients = [weight.grad for group in self.param_groups for weight in group["params"]]
        lengths.append(float(torch.cat([grad.flatten() for grad in gradients if grad is not None]).norm()))
        return step(self, closure)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    run(table, models / "clipseg", tiny(gradient_clipping=clip, accumulate=2))
    assert len(lengths) == 3
    if clip:
        assert lengths == pytest.approx([clip] * 3, rel=1e-3)
    else:
        assert min(lengths) > 0.01


def test_a_tracker_is_given_losses_lr_speed_and_scores(models: Path, table: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(table, models / "compact", tiny(), trackers=("tensorboard",))
    (folder,) = (file.parent for file in (tmp_path / "run" / "wordmask").glob("events.*"))
    events = EventAccumulator(str(folder)).Reload()
    written = lines(tmp_path / "run")
    names = {"bce", "balanced_bce", "dice", "presence", "lr", "valid_iou", "valid_false_positives", "images_per_second"}
    assert names <= set(events.Tags()["scalars"])
    for name in ("dice", "lr", "valid_iou"):
        expected = [(line["step"], pytest.approx(line[name], abs=1e-5)) for line in written if name in line]
        assert [(event.step, event.value) for event in events.Scalars(name)] == expected
    speeds = [event.value for event in events.Scalars("images_per_second")]
    assert len(speeds) == 3
    assert min(speeds) > 0


def test_validation_is_kept_by_phrase(models: Path, table: Path, tmp_path: Path) -> None:
    record = run(table, models / "clipseg", tiny(holdout=0.5))
    first, last = lines(tmp_path / "run")[0], lines(tmp_path / "run")[record["best"]["step"]]
    for name, line in (("start", first), ("best", last)):
        sums = json.loads((tmp_path / "run" / "measured" / f"{name}.json").read_text())
        assert set(sums) <= {"red square", "green square", "blue square", "white square"}
        iou, present, false_positives, absent = (sum(values) for values in zip(*sums.values(), strict=True))
        assert (present, absent) == (12, 6)
        assert iou / present == pytest.approx(line["valid_iou"])
        assert false_positives / absent == pytest.approx(line["valid_false_positives"])
    assert f"| mean IoU | {first['valid_iou']:.3f} |" in (tmp_path / "run" / "report.md").read_text()


def test_features_are_cached_and_shared_by_runs(models: Path, table: Path, tmp_path: Path) -> None:
    recipe, cache = tiny(variants=1, valid_every=0), tmp_path / "cache"
    for name in ("first", "second"):
        run(table, models / "clipseg", recipe, out=name, feature_cache=cache)
    files = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    assert len(files) == 12  # one of each image
    one, other = (trained_weights(tmp_path / name) for name in ("first", "second"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("kind", "variants", "said"),
    [("clipseg", 0, "expected images that come again"), ("compact", 1, "one with a frozen encoder")],
)
def test_a_feature_cache_that_is_of_no_use_is_refused(
    kind: str, variants: int, said: str, models: Path, table: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=said):
        run(table, models / kind, tiny(variants=variants), feature_cache=tmp_path / "cache")
    assert not (tmp_path / "run").exists()


def test_a_run_whose_folder_is_in_use_is_refused(models: Path, table: Path, tmp_path: Path) -> None:
    from wordmask.training.lock import locked

    with locked(tmp_path / "run"), pytest.raises(TrainingError, match="in which this process is training"):
        run(table, models / "compact", tiny())
    assert not (tmp_path / "run").exists()


def test_worker_processes_change_nothing(models: Path, table: Path, tmp_path: Path) -> None:
    for workers in (0, 2):
        run(table, models / "compact", tiny(workers=workers), out=f"run-{workers}")
    one, other = (trained_weights(tmp_path / f"run-{workers}") for workers in (0, 2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_tracker_that_is_not_installed_is_named(models: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import accelerate.tracking

    monkeypatch.setattr(accelerate.tracking, "get_available_trackers", list)
    with pytest.raises(MissingExtraError, match="the tracker 'tensorboard', expected its package"):
        run(table, models / "compact", tiny(), trackers=("tensorboard",))


def test_half_precision_needs_a_device_that_has_it(models: Path, table: Path) -> None:
    with pytest.raises(TrainingError, match="precision=fp16 on a CPU"):
        run(table, models / "compact", tiny(precision="fp16"))


def test_a_run_that_was_killed_after_its_last_step_is_finished(models: Path, table: Path, tmp_path: Path) -> None:
    record = run(table, models / "compact", tiny())
    last = (tmp_path / "run" / "last" / "model.safetensors").read_bytes()
    shutil.rmtree(tmp_path / "run" / "last")
    (tmp_path / "run" / "run.json").write_text(json.dumps({**record, "state": "running"}))
    assert run(table, models / "compact", tiny()) == record
    assert (tmp_path / "run" / "last" / "model.safetensors").read_bytes() == last
