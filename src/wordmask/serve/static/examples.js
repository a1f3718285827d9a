// Examples drawn on the image: a box or strokes of a brush.

import { drawnPng, pixelOf } from "/page/view.js";

export function connectExamples(state, { pick, add }) {
  const $ = (id) => document.getElementById(id);
  const canvas = $("drawing");
  const context = canvas.getContext("2d");
  let tool = "pick";
  let start = null;
  let box = null;

  function choose(name) {
    tool = name;
    for (const button of document.querySelectorAll("[data-tool]")) {
      button.setAttribute("aria-pressed", String(button.dataset.tool === name));
    }
    canvas.classList.toggle("drawing", name !== "pick");
    clear();
  }

  function clear() {
    context.clearRect(0, 0, canvas.width, canvas.height);
    box = null;
    start = null;
    $("use-example").disabled = true;
  }

  function stroke(from, to) {
    const size = Math.max(canvas.width, canvas.height);
    context.strokeStyle = "#ffca28";
    context.lineCap = context.lineJoin = "round";
    if (tool === "brush") {
      context.lineWidth = size / 30;
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.stroke();
      start = to;
      return;
    }
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.lineWidth = Math.max(2, size / 250);
    context.strokeRect(from[0], from[1], to[0] - from[0], to[1] - from[1]);
    const scale = state.image.width / canvas.width;
    const [x0, x1] = [from[0], to[0]].sort((one, two) => one - two);
    const [y0, y1] = [from[1], to[1]].sort((one, two) => one - two);
    box = [x0, y0, x1, y1].map((value) => Math.round(value * scale));
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (tool === "pick") return pick(event);
    if (tool === "box") clear();
    canvas.setPointerCapture(event.pointerId);
    start = pixelOf(event, canvas);
    if (tool === "brush") stroke(start, [start[0] + 0.1, start[1]]);
    return undefined;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (start && tool !== "pick") stroke(start, pixelOf(event, canvas));
  });
  canvas.addEventListener("pointerup", () => {
    if (!start) return;
    start = null;
    const isBox = box && box[2] - box[0] > 1 && box[3] - box[1] > 1;
    $("use-example").disabled = tool === "box" ? !isBox : false;
  });
  $("use-example").addEventListener("click", () => {
    const { width, height } = state.image;
    add(tool === "box" ? { box } : { png: drawnPng(canvas, width, height) });
    choose("pick");
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") choose("pick");
  });
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.addEventListener("click", () => choose(button.dataset.tool));
  }

  function png(mask) {
    const { width, height } = state.image;
    const drawing = document.createElement("canvas");
    [drawing.width, drawing.height] = [width, height];
    const image = new ImageData(width, height);
    for (let at = 0; at < mask.length; at++) image.data[4 * at + 3] = 255 * mask[at];
    drawing.getContext("2d").putImageData(image, 0, 0);
    return { png: drawnPng(drawing, width, height) };
  }

  return { clear, png, add };
}
