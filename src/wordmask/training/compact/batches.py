"""Labelled images -> training batches, made as tensor code on the device that holds the images.

One step's batch depends on (seed, step) and the device alone. The sets' numbers of images in a batch are fixed, the
images of a set drawn by their repeat factors, prompts by the rarity of their names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from wordmask.training.compact.augment import (
    Warp,
    bounding_boxes,
    change_colours,
    colour_statistics,
    random_rectangles,
    random_windows,
    sample_maps,
    sample_pixels,
    uniform,
)
from wordmask.training.compact.cut_mixed import CutMix, Known, Regions, Scene
from wordmask.training.compact.label_space import COVERED, UNCLEAR, UNKNOWN
from wordmask.training.compact.labelled_images import BOXED, BY_BOXES, BY_PIXELS, BY_TAG
from wordmask.training.compact.mixing import (
    CompactBatch,
    Mixing,
    class_balance,
    label_areas,
    name_frequencies,
    value_vectors,
)

if TYPE_CHECKING:
    from wordmask.training.compact.labelled_images import LabelledImages
    from wordmask.training.compact.phrase_bank import PhraseBank

CELLS = 1024
"""Cells of each image on which names compete."""
VISIBLE = 12
"""Cells of two pixels of a name that a crop must show for the name to be there."""


class BatchMaker:
    """Makes the batch of a step.

    Args:
        data: labelled images, on the device where batches are made.
        bank: phrases, on the same device.
        mixing: how.
        seed: of all draws.
    """

    def __init__(self, data: LabelledImages, bank: PhraseBank, mixing: Mixing, *, seed: int = 0) -> None:
        self.data, self.bank, self.mixing, self.seed = data, bank, mixing, seed
        self.device = data.images.device
        names = [s.name for s in data.spaces]
        self.most_names = bank.rows.shape[1]
        self.most_labels = max(len(s.labels) for s in data.spaces)
        relations = torch.full((len(names), self.most_names, 256), 0, dtype=torch.uint8)
        flip_labels = torch.zeros(len(names), 256, dtype=torch.uint8)
        flip_names = torch.arange(self.most_names).repeat(len(names), 1)
        labels_of = torch.zeros(len(names), self.most_labels + 1, dtype=torch.bool)
        for i, labels in enumerate(data.spaces):
            table = torch.from_numpy(labels.relations())
            relations[i, : len(table)] = table
            flip_labels[i] = torch.from_numpy(labels.mirrored_labels())
            flip_names[i, : len(table)] = torch.from_numpy(labels.mirrored_names())
            labels_of[i, : len(labels.labels) + 1] = True
        self.relations = relations.to(self.device)
        self.covers = (self.relations == COVERED).float()
        self.flip_labels, self.flip_names = flip_labels.to(self.device), flip_names.to(self.device)
        self.labels_of = labels_of.to(self.device)
        self.space_index = {n: i for i, n in enumerate(names)}
        self.order = [self.space_index[n] for n in mixing.counts]
        self.counts = list(mixing.counts.values())
        odds = data.odds.clone()
        for group, factor in mixing.group_odds.items():
            odds[data.group == group] *= factor
        self.members = [(data.space == i).nonzero()[:, 0] for i in range(len(names))]
        self.odds = [odds[m] for m in self.members]
        self.frequency = name_frequencies(data, self.members)
        space = torch.cat([torch.full((n,), s) for s, n in zip(self.order, self.counts, strict=True)])
        self.space = space.to(self.device)
        scales = [mixing.scales.get(names[s], (0.5, 1.1)) for s in self.space.tolist()]
        self.scales = torch.tensor(scales, device=self.device)
        real = {self.space_index[n] for n in mixing.real_ground}
        self.real_ground = torch.tensor([s in real for s in self.space.tolist()], device=self.device)
        self.areas = label_areas(data)
        self.pasteable = self._pasteable()
        self.value_vectors = value_vectors(data, bank, self.most_labels)
        self.balance = class_balance(data, self.areas, self.members, self.most_labels)
        joint = {self.space_index[n] for n in mixing.open_names}
        self.joint = torch.tensor([s in joint for s in self.space.tolist()], device=self.device)
        self.paste_all = torch.tensor([s.paste_all for s in data.spaces], device=self.device)
        self.far_nouns = bool((bank.far >= 0).all())
        self._plan_pasting(names)
        self.cut_mix = CutMix(names, self.order, self.counts, mixing.cut_mixed, self.device)

    def _plan_pasting(self, names: list[str]) -> None:
        """Which rows of a batch get something pasted, from images of which spaces, on images of which."""
        rows: list[int] = []
        same: list[bool] = []
        cuts, grounds, start = [0] * len(names), [0] * len(names), 0
        elsewhere = torch.zeros(len(names), self.most_names)
        for space, count in zip(self.order, self.counts, strict=True):
            name = names[space]
            number = round(self.mixing.pasted.get(name, 0.0) * count)
            where = [self.space_index[g] for g in self.mixing.grounds.get(name, ()) if g in self.space_index]
            rows += range(start, start + number)
            same += [not where] * number
            if where:
                for i in range(number):
                    grounds[where[i % len(where)]] += 1
                known = len(self.data.spaces[space].labels) + len(self.data.spaces[space].unions)
                elsewhere[space, :known] = 1.0
            else:
                cuts[space] += number
            start += count
        spaces = list(range(len(names)))
        order = [s for s in self.order if cuts[s]]
        self.cut_plan = (order, [cuts[s] for s in order])
        self.ground_plan = (spaces, grounds)
        self.cut_rows = torch.tensor(rows, dtype=torch.long, device=self.device)
        near_synonyms = torch.tensor(same, dtype=torch.bool, device=self.device)
        self.same, self.moved_rows = near_synonyms.nonzero()[:, 0], self.cut_rows[~near_synonyms]
        self.cut_odds = [o * self.pasteable[m].any(1) + 1e-9 for o, m in zip(self.odds, self.members, strict=True)]
        self.elsewhere = elsewhere.to(self.device)
        self.moved = torch.zeros(len(self.space), dtype=torch.bool, device=self.device)
        self.moved[self.moved_rows] = True

    def _pasteable(self) -> Tensor:
        """Float (N, 256): 1 for label values that may be cut out of an image."""
        chosen = self.areas > 0.01
        chosen[:, 0] = chosen[:, UNKNOWN] = False
        if self.mixing.pasteable is not None:
            first = self.data.spaces[self.order[0]]
            things = [v for v, n in enumerate(first.labels, 1) if n in self.mixing.pasteable]
            mask = torch.zeros(256, dtype=torch.bool, device=self.device)
            mask[things] = True
            rows = self.data.space == self.order[0]
            chosen[rows] &= mask
        return chosen.float()

    # ------------------------------------------------------------------ one batch
    def make(self, step: int, size: int) -> CompactBatch:
        """The batch of a step, images of `size` x `size` pixels."""
        generator = torch.Generator(self.device).manual_seed((self.seed * 1_000_003 + step) & 0x7FFFFFFF)
        index = self._draw(self.order, self.counts, self.odds, generator)
        base, cut = index.clone(), index[self.cut_rows]
        if len(self.cut_rows):
            cut[self.same] = self._draw(*self.cut_plan, self.cut_odds, generator)
            base[self.moved_rows] = self._draw(*self.ground_plan, self.odds, generator)
        scene = self._warp(base, size, generator)
        plain = torch.arange(self.most_names, device=self.device)
        rows = torch.where(scene.flip[:, None], self.flip_names[self.space], plain)
        present, absent = (torch.gather(t[index], 1, rows) for t in (self.data.present, self.data.absent))
        slots = self._flipped_slots(index, scene.flip)
        if len(self.cut_rows):
            moved = self.moved_rows
            scene.labels[moved] = 0
            scene.boxes[moved] = 0
            present[moved], absent[moved] = 0, self.elsewhere[self.space[moved]]
            self._paste(scene, cut, size, generator)
        known, regions = Known(slots, present, absent), None
        if len(self.cut_mix):
            scene, known, regions = self.cut_mix(scene, known, generator)
        hidden = random_rectangles(len(index), size // 2, self.mixing.hidden, generator)
        labels = torch.where(hidden, UNKNOWN, scene.labels)
        boxes = torch.where(hidden, 0, scene.boxes)
        grey = colour_statistics(self.device)[0]
        cover = hidden.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, None]
        pixels = change_colours(torch.where(cover, grey, scene.pixels), generator)
        return self._ask(pixels, labels, boxes, hidden, known, regions, scene.whole, generator)

    def _draw(self, spaces: list[int], counts: list[int], odds: list[Tensor], generator: torch.Generator) -> Tensor:
        """Image numbers, so many of each space."""
        picks = [
            self.members[s][torch.multinomial(odds[s], n, replacement=True, generator=generator)]
            for s, n in zip(spaces, counts, strict=True)
            if n
        ]
        return torch.cat(picks) if picks else torch.zeros(0, dtype=torch.long, device=self.device)

    def _warp(self, base: Tensor, size: int, generator: torch.Generator) -> Scene:
        """Show each image through a random window, around something labelled in most cases."""
        data, count = self.data, len(base)
        sizes = data.sizes[base]
        small = data.labels[base]
        marked = ((small != 0) & (small != UNKNOWN)) | (data.boxes[base] != 0)
        noise = torch.rand(small.shape, generator=generator, device=self.device)
        place = torch.where(marked, noise, noise - 2).flatten(1).argmax(1)
        middle = torch.stack([place % small.shape[2], place // small.shape[2]], 1).float() * 2 + 1
        anywhere = torch.rand((count, 2), generator=generator, device=self.device) * sizes.flip(1)
        near = (uniform(0, 1, (count, 1), generator) < 0.7) & marked.flatten(1).any(1)[:, None]
        flip = uniform(0, 1, (count,), generator) < 0.5
        turn = torch.full((count,), 0.08, device=self.device)
        warp = random_windows(sizes, torch.where(near, middle, anywhere), self.scales, size, flip, turn, generator)
        pixels, _ = sample_pixels(data.images[base], sizes, warp, size)
        labels = sample_maps(data.labels, base, sizes, warp, size, 2, UNKNOWN)
        boxes = sample_maps(data.boxes, base, sizes, warp, size, 2, 0)
        labels = torch.where(flip[:, None, None], self._flipped_labels(labels, data.space[base]), labels)
        extent = warp.matrix[:, 1].norm(dim=1) * size
        return Scene(pixels, labels, boxes, flip, extent > 0.92 * sizes.amax(1))

    def _flipped_labels(self, labels: Tensor, space: Tensor) -> Tensor:
        table = self.flip_labels[space]
        return torch.gather(table, 1, labels.flatten(1).long()).view_as(labels)

    def _flipped_slots(self, index: Tensor, flip: Tensor) -> Tensor:
        slots = self.data.slots[index]
        other = torch.gather(self.flip_names[self.space], 1, slots.clamp(min=0))
        return torch.where(flip[:, None] & (slots >= 0), other, slots)

    def _paste(self, scene: Scene, cut: Tensor, size: int, generator: torch.Generator) -> None:
        """Put something labelled in the images `cut` on the scene's rows `cut_rows`, in place."""
        data, rows = self.data, self.cut_rows
        count, sizes, space = len(cut), data.sizes[cut], self.space[rows]
        chance = self.pasteable[cut].clamp(min=1e-9).log() + self._gumbel((count, 256), generator)
        value = chance.argmax(1, keepdim=True)
        good = torch.gather(self.pasteable[cut], 1, value)[:, 0] > 0
        small = data.labels[cut]
        whole = self.paste_all[space]
        mask = torch.where(whole[:, None, None], (small != 0) & (small != UNKNOWN), small == value[:, :, None])
        left, top, right, bottom = (bounding_boxes(mask) * 2).unbind(1)
        longer = torch.maximum(right - left, bottom - top).clamp(min=4)
        target = uniform(0.25, 0.8, (count,), generator) * size
        flip = uniform(0, 1, (count,), generator) < 0.5
        scale = longer / target
        zero = torch.zeros_like(scale)
        matrix = torch.stack(
            [torch.stack([torch.where(flip, -scale, scale), zero], 1), torch.stack([zero, scale], 1)], 1
        )
        source = torch.stack([(left + right) / 2, (top + bottom) / 2], 1) - 0.5
        place = torch.rand((count, 2), generator=generator, device=self.device)
        warp = Warp(matrix, source, target[:, None] / 2 + place * (size - target)[:, None])
        pixels, inside = sample_pixels(data.images[cut], sizes, warp, size)
        fine = sample_maps(data.labels, cut, sizes, warp, size, 1, UNKNOWN)
        coarse = sample_maps(data.labels, cut, sizes, warp, size, 2, UNKNOWN)

        def chosen(labels: Tensor) -> Tensor:
            every = (labels != 0) & (labels != UNKNOWN)
            return torch.where(whole[:, None, None], every, labels == value[:, :, None]) & good[:, None, None]

        soft = F.avg_pool2d((chosen(fine) & inside).float()[:, None], 3, 1, 1)
        scene.pixels[rows] = soft * pixels + (1 - soft) * scene.pixels[rows]
        coarse = torch.where(flip[:, None, None], self._flipped_labels(coarse, space), coarse)
        value = torch.where(flip[:, None], torch.gather(self.flip_labels[space], 1, value).long(), value)
        put = chosen(coarse)
        scene.labels[rows] = torch.where(put, coarse, scene.labels[rows])
        scene.boxes[rows] = torch.where(put, 0, scene.boxes[rows])

    # ------------------------------------------------------------------ prompts
    def _ask(
        self,
        pixels: Tensor,
        labels: Tensor,
        boxes: Tensor,
        hidden: Tensor,
        known: Known,
        regions: Regions | None,
        whole: Tensor,
        generator: torch.Generator,
    ) -> CompactBatch:
        """Choose prompts and make the targets of each cell for them."""
        slots, present, absent = known
        count, names, asked = len(pixels), self.most_names, self.mixing.prompts
        flat = labels.flatten(1).long()
        areas = torch.zeros(count, 256, device=self.device)
        areas.scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.float32))
        by_pixels = torch.bmm(self.covers[self.space], areas[:, :, None])[:, :, 0]  # (B, P)
        bits = torch.arange(slots.shape[1], device=self.device, dtype=boxes.dtype)
        planes = (boxes[:, None] >> bits[None, :, None, None]) & 1  # (B, 8 or 16, S / 2, S / 2)
        visible = planes.flatten(2).sum(2, dtype=torch.float32)
        by_boxes = torch.zeros(count, names + 1, device=self.device)
        by_boxes.scatter_add_(1, torch.where(slots < 0, names, slots), visible)
        by_boxes = by_boxes[:, :names]
        there = torch.where(by_pixels >= VISIBLE, BY_PIXELS, torch.where(by_boxes >= 2 * VISIBLE, BY_BOXES, 0))
        there = torch.where((there == 0) & (present == BY_TAG) & whole[:, None], BY_TAG, there)
        gone = (present == BY_PIXELS) | (present == BY_BOXES)  # of these it is known where they are: not in the crop
        absent = torch.where(gone, 0.8 * (1 - hidden.flatten(1).any(1).float())[:, None], absent)
        absent = torch.where((by_pixels > 0) | (by_boxes > 0) | (present == BY_TAG), 0.0, absent)
        rarity = self.frequency[self.space].log() * -0.5 + torch.where(there == BY_TAG, -1.0, 0.0)
        score = torch.where(there > 0, rarity + self._gumbel((count, names), generator), -1e9)
        best, positive = score.topk(self.mixing.positives, 1)
        found = best > -1e8
        near = torch.gather(
            self.bank.similarity[self.space], 1, positive[:, :, None].expand(-1, -1, names)
        )  # (B, positives, P)
        near = torch.where(found[:, :, None], near, -1.0).amax(1).clamp(min=0)
        hard = (uniform(0, 1, (count, 1), generator) < self.mixing.hard).float()
        score = absent.clamp(min=1e-9).log() + 4 * hard * near + self._gumbel((count, names), generator)
        negative = score.topk(asked, 1).indices
        sure = torch.gather(absent, 1, negative)
        far = self.bank.far[self.space]
        far = torch.gather(
            far.clamp(min=0), 1, torch.randint(far.shape[1], (count, asked), generator=generator, device=self.device)
        )
        use_far = (uniform(0, 1, (count, asked), generator) < self.mixing.far) | (sure < 0.01)
        pick = torch.full((count, asked), -1, device=self.device)
        pick[:, : self.mixing.positives] = torch.where(found, positive, -1)
        is_there = pick >= 0
        row = torch.where(is_there, pick, negative)
        far_now = ~is_there & use_far & self.far_nouns
        name = torch.where(far_now, far, self.bank.rows[self.space].gather(1, row))
        sure = torch.where(far_now, torch.where(self.real_ground, 1.0, 0.4)[:, None], sure)
        how = torch.where(is_there, torch.gather(there, 1, row), 0)
        return self._targets(
            pixels, labels, flat, planes, hidden, slots, absent, regions, row, name, how, sure, far_now, generator
        )

    def _gumbel(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return -(-uniform(1e-6, 1 - 1e-6, shape, generator).log()).log()

    def _targets(
        self,
        pixels: Tensor,
        labels: Tensor,
        flat: Tensor,
        planes: Tensor,
        hidden: Tensor,
        slots: Tensor,
        absent: Tensor,
        regions: Regions | None,
        row: Tensor,
        name: Tensor,
        how: Tensor,
        sure: Tensor,
        far: Tensor,
        generator: torch.Generator,
    ) -> CompactBatch:
        """Masks, weights and presence of the prompts `row`."""
        count, asked = row.shape
        side = labels.shape[1]
        relation = self.relations[self.space[:, None], row]  # (B, K, 256)
        relation = torch.where(far[:, :, None], 0, relation)
        code = torch.gather(relation, 2, flat[:, None].expand(-1, asked, -1)).view(count, asked, side, side)
        unknown = (labels == UNKNOWN)[:, None]
        is_there = (how > 0)[:, :, None, None]
        covered = (code == COVERED) & is_there
        bit = (slots[:, None] == row[:, :, None]) & (how > 0)[:, :, None] & (slots[:, None] >= 0)  # (B, K, 8 or 16)
        boxed = bit.any(2)
        inside = torch.zeros_like(covered)
        for own, shown in zip(torch.split(bit, BOXED, 2), torch.split(planes, BOXED, 1), strict=True):
            plane = torch.gather(shown, 1, own.int().argmax(2)[:, :, None, None].expand(-1, -1, side, side))
            inside |= (plane > 0) & own.any(2)[:, :, None, None]
        known = (~unknown & (code != UNCLEAR)) | (boxed[:, :, None, None] & ~inside & ~hidden[:, None])
        if regions is not None:
            known &= regions.certain(row)
        positive_weight = torch.where(known | covered, 1.0, 0.0) * (how != BY_TAG)[:, :, None, None]
        certain = (sure >= 0.9)[:, :, None, None]
        open_ = ~hidden[:, None] & ((code != UNCLEAR) | (unknown & certain))
        labelled = (labels != 0)[:, None] & ~unknown
        level = torch.where(labelled, sure.clamp(min=0.5)[:, :, None, None], sure[:, :, None, None])
        negative_weight = torch.where(open_, level, 0.0) * (sure > 0)[:, :, None, None]
        weight = torch.where(is_there, positive_weight, negative_weight)
        target = F.avg_pool2d(covered * weight, 2)
        weight = F.avg_pool2d(weight, 2)
        target = (target / weight.clamp(min=1e-6)).clamp(0, 1)
        presence_weights = torch.where(how == BY_TAG, 0.6, torch.where(how > 0, 1.0, sure))
        classes, allowed = self._classes(labels, flat, absent, regions)
        cells = (classes[0].numel(), (count, min(CELLS, classes[0].numel())))
        return CompactBatch(
            [],
            [],
            pixels,
            self.bank.draw(name, generator),
            target,
            weight,
            F.avg_pool2d(inside.float(), 2),
            boxed.float(),
            (how > 0).float(),
            presence_weights,
            name,
            classes,
            allowed,
            self.space,
            absent,
            torch.randint(*cells, generator=generator, device=self.device),
            self.value_vectors,
            self.balance,
        )

    def _classes(self, labels: Tensor, flat: Tensor, absent: Tensor, regions: Regions | None) -> tuple[Tensor, Tensor]:
        """Label values (B, h, w) at the masks' stride, -1 = unknown, and which compete (B, V + 1)."""
        count = len(labels)
        classes = labels[:, 1::2, 1::2].long()
        drop = (classes == UNKNOWN) | ((classes == 0) & ~(self.real_ground | self.joint)[:, None, None])
        drop |= (classes == 0) & self.moved[:, None, None]
        told = F.pad(absent[:, : self.most_labels] >= 0.5, (1, 0), value=True)
        shown = torch.zeros(count, 256, device=self.device).scatter_(1, flat, 1.0)[:, : self.most_labels + 1] > 0
        if regions is not None:
            named = F.pad(shown[:, 1:], (0, self.most_names - self.most_labels))
            drop |= (classes == 0) & regions.unclear(named)[:, 1::2, 1::2]
        classes = torch.where(drop, -1, classes)
        return classes, self.labels_of[self.space] & (~self.joint[:, None] | told | shown)
