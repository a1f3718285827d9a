// Calls of the service.

export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let key = "";

export function useKey(value) {
  key = value;
}

async function call(path, options = {}) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "unreachable", "The service does not answer. Is it still running?");
  }
  const body = await response.json().catch(() => null);
  if (response.ok) return body;
  const said = body?.error ?? { code: "unknown", message: `HTTP ${response.status}` };
  const after = Number(response.headers.get("Retry-After"));
  if (response.status === 503 && after && !options.retried) {
    await new Promise((done) => setTimeout(done, 1000 * Math.min(after, 10)));
    return call(path, { ...options, retried: true });
  }
  throw new Refusal(response.status, said.code, said.message);
}

export const models = async () => (await call("/v1/models")).data;

// `prompts`: [{text, negatives, example: {file, mask, name}}].
export function segment(image, prompts, options, signal) {
  const form = new FormData();
  form.append("image", image, image.name || "image");
  const sent = prompts.map((prompt, index) => {
    if (!prompt.example) return { text: prompt.text, negatives: prompt.negatives };
    form.append(`example${index}`, prompt.example.file, "example");
    const visual = { image: { field: `example${index}` }, mask: prompt.example.mask };
    return { name: prompt.text, visual };
  });
  form.append("prompts", JSON.stringify(sent));
  for (const [name, value] of Object.entries(options)) form.append(name, value);
  return call("/v1/segment", { method: "POST", body: form, signal });
}
