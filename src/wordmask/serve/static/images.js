// Where images come from: a file, a drop, the clipboard, the samples.

const SAMPLES = { astronaut: "An astronaut", chelsea: "A cat", coffee: "A cup of coffee" };

export function connectImages({ setImage, fail, say }) {
  const $ = (id) => document.getElementById(id);

  async function use(file) {
    say("Reading…");
    try {
      const picture = await createImageBitmap(file);
      setImage({ file, name: file.name || "pasted image", width: picture.width, height: picture.height, picture });
    } catch {
      say("");
      fail(new Error(`Got ${file.name || "a file"}, which this browser cannot show as an image, expected JPEG, PNG or `
        + "WebP: choose another file, or convert it."));
    }
  }

  $("file").addEventListener("change", () => {
    if ($("file").files[0]) use($("file").files[0]);
    $("file").value = "";
  });
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files][0];
    if (file) use(file);
  });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      $("sources").classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) $("sources").classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    $("sources").classList.remove("over");
    const file = [...event.dataTransfer.files][0];
    if (file) use(file);
  });
  $("samples").append(...Object.entries(SAMPLES).map(([name, text]) => {
    const button = document.createElement("button");
    button.type = "button";
    const image = document.createElement("img");
    image.src = `/page/samples/${name}`;
    image.alt = text;
    button.append(image);
    button.addEventListener("click", async () => {
      const response = await fetch(image.src).catch(() => null);
      if (!response?.ok) return fail(new Error(`The sample ${name} is not on this machine.`));
      const content = await response.blob();
      return use(new File([content], `${name}.png`, { type: "image/png" }));
    });
    return button;
  }));
}
