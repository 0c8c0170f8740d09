// The map and its controls.
const [map, sheet, canvas, slider, play, pin] = ["map", "sheet", "picture", "frame", "play", "pin"].map(part);
const context = canvas.getContext("2d");
const picture = context.createImageData(width, height);
const dots = new Uint32Array(picture.data.buffer);
const colour = (text) => 0xff000000 | (parseInt(text.slice(5, 7), 16) << 16) | (parseInt(text.slice(3, 5), 16) << 8) | parseInt(text.slice(1, 3), 16);
const STRIPE = colour(page.scales.missing);
const GROUND = colour(page.scales.amount.colours[0]);
const tables = Object.fromEntries(["amount", "chance"].map((name) => {
  const { levels, colours } = page.scales[name];
  const of = (code) => colours[Math.max(0, levels.findLastIndex((level) => code >= level))];
  return [name, Uint32Array.from({ length: 256 }, (_, code) => colour(of(code)))];
}));

let codesShown = null; // of the field on the map
const frame = () => Number(slider.value);
const chosen = () => document.querySelector("input[name=layer]:checked").value;
let drawn = 0;

// The layer, the number of its field, and the words for it at the time of the slider.
function current() {
  const name = chosen();
  if (frame() < past || name === "observed") return { name: "observed", field: frame(), words: "observed", unseen: !page.observed[frame()] };
  const field = frame() - past;
  if (name !== "member") return { name, field, words: document.querySelector("input[name=layer]:checked").parentNode.textContent.trim() };
  const number = page.size > 1 ? Number(part("member").value) : 0;
  return { name: `m${number}`, field, words: page.size > 1 ? `member ${page.members[number]}` : "forecast" };
}

async function show() {
  const mine = ++drawn;
  const { name, field, words, unseen } = current();
  const isChance = /^p\d$/.test(name);
  const lead = page.minutes[frame()];
  const time = `${page.clock[frame()]}, ${lead > 0 ? "+" : ""}${Math.round(lead)} min`;
  part("time").textContent = `${time}, ${words}`;
  slider.setAttribute("aria-valuetext", `${time}, ${words}`);
  const fields = await layer(name);
  const hatched = part("hatch")?.checked && field >= 0 && name !== "observed" ? await layer("reached") : null;
  if (mine !== drawn) return; // something else was chosen meanwhile
  const cut = (stack) => stack?.subarray(field * size, (field + 1) * size);
  codesShown = cut(fields);
  paint(codesShown, tables[isChance ? "chance" : "amount"], cut(hatched));
  canvas.setAttribute("aria-label", `${words}, ${time}${hatched ? ", hatched where advection does not reach" : ""}`);
  part("later").hidden = !unseen;
  document.querySelector(".legends .amount").hidden = isChance;
  document.querySelector(".legends .chance").hidden = !isChance;
  pointAt(frame());
}

// Missing pixels are striped one way, those that advection does not reach the other way.
function paint(codes, table, reached) {
  for (let y = 0, pixel = 0; y < height; y++) {
    for (let x = 0; x < width; x++, pixel++) {
      const code = codes[pixel];
      if (code === MISSING) dots[pixel] = (x + y) & 4 ? STRIPE : GROUND;
      else if (reached && !reached[pixel] && ((x - y) & 7) === 0) dots[pixel] = STRIPE;
      else dots[pixel] = table[code];
    }
  }
  context.putImageData(picture, 0, 0);
}

function setFrame(number) {
  slider.value = String(Math.min(page.minutes.length - 1, Math.max(0, number)));
  show();
}

let timer = null;
function stop() {
  clearInterval(timer);
  timer = null;
  play.textContent = "Play";
}
play.addEventListener("click", () => {
  if (timer) return stop();
  play.textContent = "Stop";
  const pause = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1500 : 400;
  timer = setInterval(() => setFrame((frame() + 1) % page.minutes.length), pause);
});

// The place.
let place = null, asked = 0;
async function setPlace(x, y) {
  place = [Math.min(width - 1, Math.max(0, x)), Math.min(height - 1, Math.max(0, y))];
  const mine = ++asked, pixel = place[1] * width + place[0];
  pin.style.left = `${(100 * (place[0] + 0.5)) / width}%`;
  pin.style.top = `${(100 * (place[1] + 0.5)) / height}%`;
  const names = [...(page.observed.length ? ["observed"] : []), ...(page.size > 1 ? ["mean", ...page.quantiles] : []),
    ...page.thresholds.flatMap((_, number) => [...(page.size > 1 ? [`p${number}`] : []), `onset${number}`])];
  const members = page.members.length === page.size ? page.members.map((_, number) => `m${number}`) : [];
  const columns = await Promise.all([...names, ...members].map((name) => column(name, pixel)));
  if (mine !== asked) return;
  const of = Object.fromEntries(names.map((name, number) => [name, columns[number]]));
  of.members = columns.slice(names.length);
  drawPlume(of);
  drawChances(of);
  const onsets = drawOnsets(of);
  drawNumbers(of);
  pointAt(frame());
  const row = `row ${height - 1 - place[1]} from the south, column ${place[0]}`;
  part("where").textContent = page.nodes ? degreesText(...degreesAt(place[0] + 0.5, place[1] + 0.5)) : `Pixel: ${row}`;
  part("summary").textContent = onsets;
}

function pixelUnder(event) {
  const box = canvas.getBoundingClientRect();
  return [Math.floor(((event.clientX - box.left) / box.width) * width), Math.floor(((event.clientY - box.top) / box.height) * height)];
}
map.addEventListener("click", (event) => {
  if (!event.target.closest("button") && !moved) setPlace(...pixelUnder(event));
});
map.addEventListener("pointermove", (event) => {
  const [x, y] = pixelUnder(event), inside = codesShown && x >= 0 && x < width && y >= 0 && y < height;
  part("under").hidden = !inside || event.pointerType === "touch";
  if (!inside) return;
  const code = codesShown[y * width + x];
  const text = /^p\d$/.test(current().name) && code !== MISSING ? `${code} %` : amountText(code);
  part("under").textContent = page.nodes ? `${text} at ${degreesText(...degreesAt(x + 0.5, y + 0.5))}` : text;
});
map.addEventListener("pointerleave", () => (part("under").hidden = true));

part("go")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const said = part("wanted").value.replaceAll("−", "-").matchAll(/(-?\d+(?:\.\d+)?)\s*°?\s*([NSEW])?/gi);
  const numbers = [...said].map(([, number, side]) => Number(number) * (/[SW]/i.test(side ?? "") ? -1 : 1));
  const found = numbers.length === 2 ? pixelAt(...numbers) : null;
  part("refusal").textContent = found ? "" : numbers.length === 2 ? "outside of the map" : "two numbers in degrees, such as 50.85, 4.35";
  if (found) setPlace(...found);
});

// Zoom and drag: the sheet is scaled and moved within the map.
let zoom = 1, corner = [0, 0], moved = false;
function setZoom(factor, at = place ? [(place[0] + 0.5) / width, (place[1] + 0.5) / height] : [0.5, 0.5]) {
  zoom = Math.min(16, Math.max(1, factor));
  setCorner([0.5 - at[0] * zoom, 0.5 - at[1] * zoom]);
}
function setCorner(to) {
  corner = to.map((part) => Math.min(0, Math.max(1 - zoom, part)));
  sheet.style.transform = `translate(${100 * corner[0]}%, ${100 * corner[1]}%) scale(${zoom})`;
  pin.style.transform = `scale(${1 / zoom})`;
  sheet.style.setProperty("--zoom", zoom);
  map.classList.toggle("zoomed", zoom > 1);
}
part("closer").addEventListener("click", () => setZoom(zoom * 2));
part("farther").addEventListener("click", () => setZoom(zoom / 2));
let held = null;
map.addEventListener("pointerdown", (event) => {
  moved = false;
  held = zoom > 1 ? { x: event.clientX, y: event.clientY, corner } : null;
});
map.addEventListener("pointermove", (event) => {
  if (!held) return;
  const by = [event.clientX - held.x, event.clientY - held.y];
  if (Math.hypot(...by) < 4) return;
  moved = true;
  setCorner([held.corner[0] + by[0] / map.clientWidth, held.corner[1] + by[1] / map.clientHeight]);
});
for (const name of ["pointerup", "pointercancel", "pointerleave"]) map.addEventListener(name, () => (held = null));

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const TIMES = { ArrowLeft: () => frame() - 1, ArrowRight: () => frame() + 1, Home: () => 0, End: () => page.minutes.length - 1 };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const onMap = event.target === map;
  if (onMap && MOVES[event.key]) {
    const far = event.shiftKey ? 10 : 1, [right, down] = MOVES[event.key];
    setPlace(place[0] + far * right, place[1] + far * down);
  } else if (onMap && "+=-−".includes(event.key)) setZoom("+=".includes(event.key) ? zoom * 2 : zoom / 2);
  else if (event.target.closest("input, select, button, summary") && event.target !== slider) return;
  else if (event.key === " ") play.click();
  else if (TIMES[event.key]) setFrame(TIMES[event.key]());
  else return;
  event.preventDefault();
});

slider.addEventListener("input", show);
for (const control of document.querySelectorAll("input[name=layer], #hatch")) control.addEventListener("change", show);
part("member")?.addEventListener("change", () => {
  document.querySelector("input[name=layer][value=member]").checked = true;
  show();
});
if (typeof DecompressionStream === "undefined") part("summary").textContent = "This page needs a browser of 2023 or newer.";
else show().then(() => setPlace(...page.place));
