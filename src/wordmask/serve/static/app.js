// The page: what the user does, what the service answers, what is shown.

import * as api from "/page/api.js";
import { connectImages } from "/page/images.js";
import { connectExamples } from "/page/examples.js";
import { coco, labelStudio, labellingConfig, save } from "/page/exports.js";
import { readHeatmap } from "/page/masks.js";
import { objectsOf, renderResults, updateResult } from "/page/results.js";
import { COLOURS, paint, pixelOf } from "/page/view.js";

const $ = (id) => document.getElementById(id);

const state = {
  image: null, // {file, name, width, height, picture}
  prompts: [], // {id, text, negatives, example, colour}
  answers: { main: null, other: null },
  changes: new Map(), // by prompt id: {threshold, hidden, names}
  presence: null,
  selected: null, // {prompt, index}
  models: [],
  options: {},
};
let running = null;
let ids = 0;

function changesOf(prompt) {
  if (!state.changes.has(prompt.id)) state.changes.set(prompt.id, { threshold: null, hidden: new Set(), names: {} });
  return state.changes.get(prompt.id);
}

function say(text) {
  $("status").textContent = text;
}

function fail(error) {
  $("error").textContent = error ? error.message : "";
  if (error?.status === 401) $("key-dialog").showModal();
}

// --- prompts ---

function addPhrases(text) {
  for (const part of text.split(",")) {
    const [phrase, ...negatives] = part.split(/\s+not\s+/i).map((words) => words.trim()).filter(Boolean);
    if (!phrase) continue;
    const same = (one) => !one.example && one.text.toLowerCase() === phrase.toLowerCase();
    if (!negatives.length && state.prompts.some(same)) continue;
    addPrompt({ text: phrase, negatives });
  }
  ask();
}

function addPrompt(prompt) {
  const used = new Set(state.prompts.map((one) => one.colour));
  const colour = COLOURS.find((one) => !used.has(one)) ?? COLOURS[ids % COLOURS.length];
  state.prompts.push({ id: ids++, negatives: [], colour, ...prompt });
  showChips();
}

function removePrompt(prompt) {
  state.prompts = state.prompts.filter((one) => one !== prompt);
  for (const side of ["main", "other"]) {
    const answer = state.answers[side];
    if (answer) answer.results = answer.results.filter((one) => one.prompt !== prompt);
  }
  showChips();
  show();
  $("phrase").focus();
}

function showChips() {
  $("chips").replaceChildren(...state.prompts.map((prompt) => {
    const chip = document.createElement("li");
    const label = document.createElement("span");
    label.textContent = prompt.negatives.length ? `${prompt.text} not ${prompt.negatives.join(" not ")}` : prompt.text;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "✕";
    remove.setAttribute("aria-label", `Remove ${prompt.text}`);
    remove.addEventListener("click", () => removePrompt(prompt));
    chip.style.borderColor = prompt.colour;
    chip.append(label, remove);
    return chip;
  }));
}

// --- answers ---

async function ask() {
  running?.abort();
  if (!state.image || !state.prompts.length) {
    if (state.prompts.length) say("Choose an image first.");
    else show();
    return;
  }
  running = new AbortController();
  const { signal } = running;
  document.body.dataset.state = "busy";
  say("Looking…");
  fail(null);
  const prompts = [...state.prompts];
  const start = performance.now();
  try {
    const main = request(prompts, $("model").value, signal);
    const other = $("other").value ? request(prompts, $("other").value, signal) : null;
    state.answers = { main: await main, other: other && await other };
    state.changes.clear();
    state.presence = null;
    state.selected = null;
    show();
    const results = state.answers.main.results;
    const found = results.filter((one) => objects(one).length).length;
    say(`${found} of ${results.length} found in ${((performance.now() - start) / 1000).toFixed(2)} s.`);
    document.body.dataset.state = "ready";
  } catch (error) {
    if (error.name === "AbortError") return;
    say("");
    fail(error);
    document.body.dataset.state = "failed";
  }
}

async function request(prompts, model, signal) {
  const options = { model, heatmap: true, explain: true, ...state.options };
  const answer = await api.segment(state.image.file, prompts, options, signal);
  for (const [index, result] of answer.results.entries()) {
    result.prompt = prompts[index];
    result.heat = result.heatmap ? await readHeatmap(result.heatmap) : null;
  }
  return answer;
}

function objects(result, width = $("view").width, height = $("view").height) {
  return objectsOf(result, changesOf(result.prompt), state.presence, width, height);
}

// --- drawing ---

function show() {
  const { main, other } = state.answers;
  const limit = state.presence ?? main?.results[0]?.presence_threshold;
  $("presence-row").hidden = !main?.results.length;
  if (limit !== undefined) {
    $("presence").value = limit;
    $("presence-value").textContent = limit.toFixed(2);
  }
  renderResults($("results"), main?.results ?? [], { state, objects, changesOf, redraw, open: openMask });
  for (const kind of ["png", "coco", "label-studio"]) $(`save-${kind}`).disabled = !main?.results.length;
  $("view-other").hidden = $("curtain-line").hidden = $("curtain-label").hidden = !other;
  redraw();
}

function redraw() {
  if (!state.image) return;
  draw($("view"), state.answers.main);
  if (state.answers.other) draw($("view-other"), state.answers.other);
  const told = (state.answers.main?.results ?? []).map((one) => `${one.prompt.text}: ${objects(one).length}`);
  $("view").setAttribute("aria-label", [state.image.name, ...told].join(", "));
  for (const entry of $("results").children) updateResult(entry);
  moveCurtain();
}

function draw(canvas, answer) {
  const masks = (answer?.results ?? []).flatMap((result) => {
    const changes = changesOf(result.prompt);
    return objects(result)
      .map((one, index) => ({ ...one, selected: isSelected(result.prompt, index), shown: !changes.hidden.has(index) }))
      .filter((one) => one.shown)
      .map((one) => ({ mask: one.mask, colour: result.prompt.colour, selected: one.selected }));
  });
  paint(canvas, state.image.picture, masks);
}

function isSelected(prompt, index) {
  return state.selected?.prompt === prompt && state.selected?.index === index;
}

function moveCurtain() {
  const at = Number($("curtain").value);
  $("view-other").style.clipPath = `inset(0 0 0 ${at}%)`;
  $("curtain-line").style.left = `${at}%`;
}

// --- one mask ---

function pick(event) {
  const canvas = $("view");
  const [x, y] = pixelOf(event, $("drawing")).map(Math.floor);
  const at = y * canvas.width + x;
  let best = null;
  for (const result of state.answers.main?.results ?? []) {
    objects(result).forEach((one, index) => {
      if (!one.mask[at] || changesOf(result.prompt).hidden.has(index)) return;
      if (!best || one.area < best.area) best = { result, index, area: one.area };
    });
  }
  if (best) openMask(best.result, best.index);
}

function openMask(result, index) {
  state.selected = { prompt: result.prompt, index };
  redraw();
  const changes = changesOf(result.prompt);
  const name = changes.names[index] ?? result.prompt.text;
  $("about-title").textContent = `${name} ${index + 1}`;
  $("about-name").value = name;
  $("about-text").textContent = result.explanation ?? "";
  $("about-hide").onclick = () => {
    changes.hidden.add(index);
    $("about-mask").close();
  };
  $("about-example").onclick = () => {
    const { width, height } = state.image;
    const rle = result.masks[index]?.rle;
    examples.add(rle && changes.threshold === null ? { rle } : examples.png(objects(result, width, height)[index].mask));
    $("about-mask").close();
  };
  $("about-mask").onclose = () => {
    const given = $("about-name").value.trim();
    if (given && given !== result.prompt.text) changes.names[index] = given;
    else delete changes.names[index];
    redraw();
  };
  $("about-mask").showModal();
}

// --- files ---

function everyObject() {
  const { width, height } = state.image;
  return state.answers.main.results.flatMap((result) => {
    const changes = changesOf(result.prompt);
    return objects(result, width, height)
      .map((one, index) => ({ ...one, index }))
      .filter((one) => !changes.hidden.has(one.index))
      .map((one) => ({
        name: changes.names[one.index] ?? result.prompt.text, mask: one.mask, score: one.score,
        maskScore: one.maskScore, presence: result.presence, colour: result.prompt.colour,
      }));
  });
}

const stem = () => state.image.name.replace(/\.[^.]*$/, "") || "image";

function savePng() {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [state.image.width, state.image.height];
  paint(canvas, state.image.picture, everyObject());
  canvas.toBlob((blob) => save(blob, `${stem()}.overlay.png`), "image/png");
}

function saveCoco() {
  const presences = state.answers.main.results.map((one) => ({ name: one.prompt.text, presence: one.presence }));
  save(JSON.stringify(coco(state.image, everyObject(), presences)), `${stem()}.coco.json`, "application/json");
}

function saveLabelStudio() {
  const found = everyObject();
  const tasks = labelStudio(state.image, found, state.answers.main.version);
  save(JSON.stringify(tasks), `${stem()}.label-studio.json`, "application/json");
  const names = [...new Set(found.map((one) => one.name))];
  save(labellingConfig(names), "labelling-config.xml", "application/xml");
}

// --- the beginning ---

function setImage(image) {
  state.image = image;
  state.answers = { main: null, other: null };
  const scale = Math.min(1, 1100 / Math.max(image.width, image.height));
  for (const id of ["view", "view-other", "drawing"]) {
    $(id).width = Math.max(1, Math.round(image.width * scale));
    $(id).height = Math.max(1, Math.round(image.height * scale));
  }
  $("stage").hidden = false;
  examples.clear();
  fail(null);
  say(`${image.name}, ${image.width} × ${image.height}. Type what to find.`);
  show();
  ask();
}

async function loadModels() {
  try {
    state.models = await api.models();
  } catch (error) {
    fail(error);
    return;
  }
  const options = () => state.models.map((model) => new Option(model.id, model.id));
  $("model").replaceChildren(...options());
  $("other").replaceChildren(new Option("nothing", ""), ...options());
  $("compare-label").hidden = state.models.length < 2;
  showOptions();
}

function showOptions() {
  const model = state.models.find((one) => one.id === $("model").value);
  const texts = { refine: "Refine masks on crops", place: "Understand words of place" };
  state.options = {};
  const known = Object.entries(model?.options ?? {}).filter(([name]) => name in texts);
  $("options").replaceChildren(...known.map(([name, usual]) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = Boolean(usual);
    box.addEventListener("change", () => {
      state.options[name] = name === "place" ? (box.checked ? "auto" : "off") : box.checked;
      ask();
    });
    label.append(box, texts[name]);
    return label;
  }));
}

const examples = connectExamples(state, {
  pick,
  add: (mask) => {
    const number = state.prompts.filter((one) => one.example).length + 1;
    addPrompt({ text: `example ${number}`, example: { file: state.image.file, mask } });
    ask();
    say("The example is kept for the next images, too.");
  },
});
connectImages({ setImage, fail, say });
$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  addPhrases($("phrase").value);
  $("phrase").value = "";
});
$("presence").addEventListener("input", () => {
  state.presence = Number($("presence").value);
  $("presence-value").textContent = state.presence.toFixed(2);
  redraw();
});
$("curtain").addEventListener("input", moveCurtain);
$("model").addEventListener("change", () => {
  showOptions();
  ask();
});
$("other").addEventListener("change", ask);
$("save-png").addEventListener("click", savePng);
$("save-coco").addEventListener("click", saveCoco);
$("save-label-studio").addEventListener("click", saveLabelStudio);
$("key-dialog").addEventListener("close", () => {
  api.useKey($("key").value);
  fail(null);
  loadModels().then(ask);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) {
    event.preventDefault();
    $("phrase").focus();
  }
});
loadModels();
