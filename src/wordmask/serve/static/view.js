// Drawing on canvases.

export const COLOURS = ["#e6194b", "#3cb44b", "#ffb000", "#4363d8", "#f58231", "#b04be0", "#00b8c4", "#f032e6",
  "#8fbf00", "#ff7f9e"];

const channels = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

// Draw an image with masks: [{mask, colour, selected}], masks of the canvas's size.
export function paint(canvas, picture, masks) {
  const { width, height } = canvas;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0, width, height);
  if (!masks.length) return;
  const image = context.getImageData(0, 0, width, height);
  const pixels = image.data;
  const thick = Math.max(1, Math.round(Math.max(width, height) / 450));
  for (const { mask, colour, selected } of masks) {
    const [red, green, blue] = channels(colour);
    const part = selected ? 0.62 : 0.42;
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at++) {
        if (!mask[at]) continue;
        const edge = x < thick || y < thick || x >= width - thick || y >= height - thick
          || !mask[at - thick] || !mask[at + thick] || !mask[at - thick * width] || !mask[at + thick * width];
        const own = edge ? 1 : part;
        const to = 4 * at;
        pixels[to] += own * (red - pixels[to]);
        pixels[to + 1] += own * (green - pixels[to + 1]);
        pixels[to + 2] += own * (blue - pixels[to + 2]);
      }
    }
  }
  context.putImageData(image, 0, 0);
}

// Where a pointer is, in pixels of a canvas.
export function pixelOf(event, canvas) {
  const frame = canvas.getBoundingClientRect();
  return [((event.clientX - frame.left) * canvas.width) / frame.width,
    ((event.clientY - frame.top) * canvas.height) / frame.height];
}

// A mask drawn by hand, as a greyscale PNG of `width` x `height` in base64.
export function drawnPng(drawing, width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.fillRect(0, 0, width, height);
  context.imageSmoothingEnabled = false;
  const white = document.createElement("canvas");
  [white.width, white.height] = [drawing.width, drawing.height];
  const inner = white.getContext("2d");
  inner.drawImage(drawing, 0, 0);
  inner.globalCompositeOperation = "source-in";
  inner.fillStyle = "#fff";
  inner.fillRect(0, 0, white.width, white.height);
  context.drawImage(white, 0, 0, width, height);
  return canvas.toDataURL("image/png");
}
