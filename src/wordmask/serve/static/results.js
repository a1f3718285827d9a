// The list of results: a heading, a slider and the objects of every prompt.

import { area, cut, fromRle, parts, score } from "/page/masks.js";

// The objects of a result at `width` x `height`: [{mask, area, score, maskScore}]. The service's own masks where the
// user has moved no slider, otherwise the heatmap cut in the browser.
export function objectsOf(result, changes, presence, width, height) {
  const key = `${changes.threshold} ${presence} ${width} ${height}`;
  if (result.kept?.key !== key) result.kept = { key, objects: made(result, changes, presence, width, height) };
  return result.kept.objects;
}

function made(result, changes, presence, width, height) {
  if (result.presence < (presence ?? result.presence_threshold)) return [];
  if (changes.threshold === null && result.masks.length) {
    return result.masks.map((one) => {
      const mask = fromRle(one.rle, width, height);
      return { mask, area: area(mask), score: one.score, maskScore: one.mask_score };
    });
  }
  if (!result.heat) return [];
  const whole = cut(result.heat, changes.threshold ?? result.threshold, width, height);
  return parts(whole, width, height).map((mask) => (
    { mask, area: area(mask), score: score(result.heat, mask, width, height), maskScore: null }
  ));
}

const entries = new WeakMap();

export function renderResults(list, results, page) {
  list.replaceChildren(...results.map((result) => {
    const entry = document.createElement("li");
    entry.style.borderLeftColor = result.prompt.colour;
    const title = document.createElement("h3");
    title.textContent = result.prompt.text;
    const facts = document.createElement("p");
    facts.className = "facts";
    const slider = thresholdSlider(result, page);
    const found = document.createElement("ul");
    found.className = "parts";
    entry.append(title, facts, slider, found);
    entries.set(entry, { result, page, facts, found });
    return entry;
  }));
}

export function updateResult(entry) {
  const { result, page, facts, found } = entries.get(entry);
  const state = document.createElement("span");
  state.className = `status ${result.status}`;
  state.textContent = result.status;
  const other = page.state.answers.other?.results.find((one) => one.prompt === result.prompt);
  const beside = other ? `; ${page.state.answers.other.model}: ${other.presence.toFixed(2)}` : "";
  facts.replaceChildren(state, ` · presence ${result.presence.toFixed(2)}${beside}`);
  const focused = [...found.querySelectorAll("button, input")].indexOf(document.activeElement);
  found.replaceChildren(...page.objects(result).map((one, index) => part(result, one, index, page)));
  if (focused >= 0) found.querySelectorAll("button, input")[focused]?.focus();
}

function thresholdSlider(result, page) {
  const label = document.createElement("label");
  const value = document.createElement("output");
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0.01, max: 0.99, step: 0.01, value: result.threshold });
  slider.dataset.prompt = result.prompt.text;
  value.textContent = result.threshold.toFixed(2);
  slider.addEventListener("input", () => {
    const changes = page.changesOf(result.prompt);
    changes.threshold = Number(slider.value);
    changes.hidden.clear();
    changes.names = {};
    value.textContent = changes.threshold.toFixed(2);
    page.redraw();
  });
  label.append("Threshold ", value, slider);
  return label;
}

function part(result, one, index, page) {
  const changes = page.changesOf(result.prompt);
  const name = `${changes.names[index] ?? result.prompt.text} ${index + 1}`;
  const entry = document.createElement("li");
  const shown = document.createElement("input");
  shown.type = "checkbox";
  shown.checked = !changes.hidden.has(index);
  shown.setAttribute("aria-label", `Show ${name}`);
  shown.addEventListener("change", () => {
    if (shown.checked) changes.hidden.delete(index);
    else changes.hidden.add(index);
    page.redraw();
  });
  const button = document.createElement("button");
  button.type = "button";
  const text = document.createElement("span");
  text.textContent = name;
  const number = document.createElement("span");
  number.textContent = `score ${one.score.toFixed(2)}`;
  button.append(text, number);
  button.addEventListener("click", () => page.open(result, index));
  const selected = page.state.selected;
  entry.classList.toggle("selected", selected?.prompt === result.prompt && selected?.index === index);
  entry.append(shown, button);
  return entry;
}
