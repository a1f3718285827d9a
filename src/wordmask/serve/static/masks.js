// Masks as arrays of bytes, row by row: run lengths, heatmaps, connected parts. Nothing here knows the page.

export function decodeCounts(text) {
  const counts = [];
  let place = 0;
  while (place < text.length) {
    let value = 0;
    let shift = 0;
    let code;
    do {
      code = text.charCodeAt(place++) - 48;
      if (shift < 32) value |= (code & 31) << shift;
      shift += 5;
    } while (code & 32);
    if (code & 16 && shift < 32) value |= -1 << shift;
    if (counts.length > 2) value += counts[counts.length - 2];
    counts.push(value);
  }
  return counts;
}

export function encodeCounts(counts) {
  let text = "";
  counts.forEach((count, index) => {
    let value = index > 2 ? count - counts[index - 2] : count;
    let more = true;
    while (more) {
      let code = value & 31;
      value >>= 5;
      more = code & 16 ? value !== -1 : value !== 0;
      if (more) code |= 32;
      text += String.fromCharCode(code + 48);
    }
  });
  return text;
}

// COCO's run lengths, sampled at `width` x `height`.
export function fromRle(rle, width, height) {
  const [rows, columns] = rle.size;
  const whole = new Uint8Array(rows * columns);
  let at = 0;
  let value = 0;
  for (const count of decodeCounts(rle.counts)) {
    if (value) whole.fill(1, at, at + count);
    at += count;
    value = 1 - value;
  }
  const mask = new Uint8Array(width * height);
  for (let x = 0; x < width; x++) {
    const column = Math.floor(((x + 0.5) * columns) / width) * rows;
    for (let y = 0; y < height; y++) {
      mask[y * width + x] = whole[column + Math.floor(((y + 0.5) * rows) / height)];
    }
  }
  return mask;
}

export function toRle(mask, width, height) {
  const counts = [];
  let run = 0;
  let value = 0;
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      if (mask[y * width + x] !== value) {
        counts.push(run);
        run = 0;
        value = 1 - value;
      }
      run++;
    }
  }
  counts.push(run);
  return { size: [height, width], counts: encodeCounts(counts) };
}

// A heatmap of an answer: its grey values as logits.
export async function readHeatmap(heatmap) {
  const bytes = Uint8Array.from(atob(heatmap.png), (letter) => letter.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }), { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const grey = context.getImageData(0, 0, image.width, image.height).data;
  const values = new Float32Array(image.width * image.height);
  const step = (heatmap.high - heatmap.low) / 255;
  for (let i = 0; i < values.length; i++) values[i] = heatmap.low + step * grey[4 * i];
  return { values, width: image.width, height: image.height };
}

function axis(cells, length) {
  const first = new Int32Array(length);
  const weight = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    const at = Math.min(Math.max(((i + 0.5) * cells) / length - 0.5, 0), cells - 1);
    first[i] = Math.min(Math.floor(at), Math.max(cells - 2, 0));
    weight[i] = cells > 1 ? at - first[i] : 0;
  }
  return { first, weight };
}

// The pixels of a heatmap, interpolated to `width` x `height`, whose probability exceeds `threshold`; and the mean
// probability inside as `score`.
export function cut(heat, threshold, width, height) {
  const limit = threshold <= 0 ? -Infinity : threshold >= 1 ? Infinity : Math.log(threshold / (1 - threshold));
  const mask = new Uint8Array(width * height);
  const across = axis(heat.width, width);
  const down = axis(heat.height, height);
  const next = heat.width > 1 ? 1 : 0;
  const below = heat.height > 1 ? heat.width : 0;
  for (let y = 0; y < height; y++) {
    const row = down.first[y] * heat.width;
    const v = down.weight[y];
    for (let x = 0; x < width; x++) {
      const cell = row + across.first[x];
      const u = across.weight[x];
      const top = heat.values[cell] + u * (heat.values[cell + next] - heat.values[cell]);
      const low = heat.values[cell + below];
      const bottom = low + u * (heat.values[cell + below + next] - low);
      if (top + v * (bottom - top) > limit) mask[y * width + x] = 1;
    }
  }
  return mask;
}

// The connected parts of a mask, the largest first; those below 2 % of the largest are left out.
export function parts(mask, width, height) {
  const seen = new Uint8Array(mask);
  const found = [];
  const stack = new Int32Array(width * height);
  for (let start = 0; start < seen.length; start++) {
    if (!seen[start]) continue;
    const inside = [];
    let top = 0;
    stack[top++] = start;
    seen[start] = 0;
    while (top) {
      const at = stack[--top];
      inside.push(at);
      const x = at % width;
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          const there = at + dy * width + dx;
          if (x + dx < 0 || x + dx >= width || there < 0 || there >= seen.length || !seen[there]) continue;
          seen[there] = 0;
          stack[top++] = there;
        }
      }
    }
    found.push(inside);
  }
  found.sort((one, two) => two.length - one.length);
  const least = found.length ? 0.02 * found[0].length : 0;
  return found.filter((inside) => inside.length >= least).map((inside) => {
    const part = new Uint8Array(width * height);
    for (const at of inside) part[at] = 1;
    return part;
  });
}

export function area(mask) {
  let count = 0;
  for (let i = 0; i < mask.length; i++) count += mask[i];
  return count;
}

// XYWH of a mask; zeros where it is empty.
export function box(mask, width, height) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!mask[y * width + x]) continue;
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < top) top = y;
      if (y > bottom) bottom = y;
    }
  }
  return right < 0 ? [0, 0, 0, 0] : [left, top, right - left + 1, bottom - top + 1];
}

// Mean probability of a heatmap inside a mask.
export function score(heat, mask, width, height) {
  let sum = 0;
  let count = 0;
  for (let y = 0; y < height; y++) {
    const row = Math.floor(((y + 0.5) * heat.height) / height) * heat.width;
    for (let x = 0; x < width; x++) {
      if (!mask[y * width + x]) continue;
      sum += 1 / (1 + Math.exp(-heat.values[row + Math.floor(((x + 0.5) * heat.width) / width)]));
      count++;
    }
  }
  return count ? sum / count : 0;
}
