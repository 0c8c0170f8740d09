// The layers of a nowcast's page: unpacked when they are first asked for, then kept.
const page = JSON.parse(document.getElementById("data").textContent);
const part = (id) => document.getElementById(id);
const MISSING = 255;
const { width, height, past } = page;
const size = width * height;
const unpacked = new Map();

// A layer's fields one after another, one byte a pixel, row 0 in the north.
function layer(name) {
  if (!unpacked.has(name)) unpacked.set(name, unpack(`layer-${name}`));
  return unpacked.get(name);
}

const parsed = new Promise((done) => document.addEventListener("DOMContentLoaded", done));
async function unpack(id) {
  if (!part(id)) await parsed;
  const script = part(id);
  const letters = atob(script.textContent), packed = new Uint8Array(letters.length);
  for (let place = 0; place < letters.length; place++) packed[place] = letters.charCodeAt(place);
  script.remove(); // its text is not needed again
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const fields = new Uint8Array(await new Response(stream).arrayBuffer());
  for (let start = 0; start < fields.length; start += size) {
    for (let pixel = start + width; pixel < start + size; pixel++) fields[pixel] += fields[pixel - width];
  }
  return fields;
}

// The codes of one pixel in all fields of a layer.
async function column(name, pixel) {
  const fields = await layer(name);
  return Array.from({ length: fields.length / size }, (_, field) => fields[field * size + pixel]);
}

// Amounts for people.
const silent = page.amounts[0] < 0; // decibels say by a number below zero that there is no echo
const amount = (code) => (code === MISSING ? null : page.amounts[Math.min(code, page.amounts.length - 1)]);
const shown = (code) => (code === MISSING ? null : Math.max(0, amount(code)));
function amountText(code) {
  if (code === MISSING) return "missing";
  if (silent && code <= 5) return "no echo";
  return `${Number(amount(code).toPrecision(2))} ${page.unit}`;
}

// Latitude and longitude of a place in pixels from the north-west corner, between the nodes of a coarse grid.
function degreesAt(x, y) {
  const { side, latitude, longitude } = page.nodes;
  const across = (x / width) * (side - 1), down = (y / height) * (side - 1);
  const cell = (place) => Math.min(side - 2, Math.max(0, Math.floor(place)));
  const column = cell(across), row = cell(down);
  const right = across - column, below = down - row, first = row * side + column;
  const between = (of) =>
    (1 - below) * ((1 - right) * of[first] + right * of[first + 1]) +
    below * ((1 - right) * of[first + side] + right * of[first + side + 1]);
  return [between(latitude), between(longitude)];
}

// The pixel in which a latitude and longitude lie, or null where it is outside.
function pixelAt(latitude, longitude) {
  let best = null, least = Infinity;
  const narrow = Math.cos((latitude * Math.PI) / 180);
  const around = (degrees) => degrees - 360 * Math.round(degrees / 360);
  for (let y = -1; y <= height; y++) {
    for (let x = -1; x <= width; x++) {
      const [lat, lon] = degreesAt(x + 0.5, y + 0.5);
      const distance = (lat - latitude) ** 2 + (narrow * around(lon - longitude)) ** 2;
      if (distance < least) [best, least] = [[x, y], distance];
    }
  }
  const [x, y] = best;
  return x >= 0 && x < width && y >= 0 && y < height ? best : null;
}

function degreesText(latitude, longitude) {
  const east = longitude - 360 * Math.round(longitude / 360);
  const text = (degrees, letters) => `${Math.abs(degrees).toFixed(3)}° ${letters[degrees < 0 ? 1 : 0]}`;
  return `${text(latitude, "NS")}, ${text(east, "EW")}`;
}
