// Files to download: an overlay, COCO, Label Studio.

import { area, box, toRle } from "/page/masks.js";

export function save(content, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// `objects`: [{name, mask, score, maskScore, presence}] at the image's size.
export function coco(image, objects, presences) {
  const names = [...new Set(presences.map((one) => one.name).concat(objects.map((one) => one.name)))];
  const { width, height } = image;
  return {
    info: { description: "wordmask" },
    images: [{ id: 1, file_name: image.name, width, height,
      presence: Object.fromEntries(presences.map((one) => [one.name, one.presence])) }],
    categories: names.map((name, index) => ({ id: index + 1, name })),
    annotations: objects.map((one, index) => ({
      id: index + 1, image_id: 1, category_id: names.indexOf(one.name) + 1, iscrowd: 0,
      bbox: box(one.mask, width, height), area: area(one.mask), segmentation: toRle(one.mask, width, height),
      score: one.score, mask_score: one.maskScore, presence: one.presence,
    })),
  };
}

export function labelStudio(image, objects, model) {
  const { width, height } = image;
  const scores = objects.map((one) => one.score);
  const result = objects.map((one, index) => ({
    id: `wordmask-${index + 1}`, type: "brushlabels", from_name: "brush", to_name: "image", image_rotation: 0,
    original_width: width, original_height: height, score: one.score,
    value: { format: "rle", rle: brushRle(one.mask), brushlabels: [one.name] },
  }));
  return [{
    data: { image: image.name },
    predictions: [{ model_version: model, score: scores.length ? Math.min(...scores) : 0, result }],
  }];
}

export function labellingConfig(names) {
  const escaped = (name) => name.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  const labels = names.map((name) => `    <Label value="${escaped(name)}"/>`).join("\n");
  return `<View>\n  <Image name="image" value="$image"/>\n  <BrushLabels name="brush" toName="image">\n${labels}\n`
    + "  </BrushLabels>\n</View>\n";
}

// Label Studio's brush: a stream of bits, of runs over the bytes of an RGBA image.
export function brushRle(mask) {
  const bits = [];
  const write = (value, count) => {
    for (let bit = count - 1; bit >= 0; bit--) bits.push(Math.floor(value / 2 ** bit) & 1);
  };
  const sizes = [3, 4, 8, 16];
  write(mask.length * 4, 32);
  write(7, 5);
  for (const size of sizes) write(size - 1, 4);
  let at = 0;
  while (at < mask.length) {
    let end = at + 1;
    while (end < mask.length && mask[end] === mask[at] && end - at < 16384) end++;
    const length = 4 * (end - at) - 1;
    const kind = sizes.findIndex((size) => length < 2 ** size);
    write(1, 1);
    write(kind, 2);
    write(length, sizes[kind]);
    write(mask[at] ? 255 : 0, 8);
    at = end;
  }
  bits.push(...new Array(8 - (bits.length % 8)).fill(0));
  const bytes = [];
  for (let i = 0; i < bits.length; i += 8) bytes.push(parseInt(bits.slice(i, i + 8).join(""), 2));
  return bytes;
}
