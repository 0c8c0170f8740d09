// One place: its plume, the probabilities of the thresholds, their onset, and the same in numbers.
const SVG = "http://www.w3.org/2000/svg";
const WIDE = 380, LEFT = 40, RIGHT = 10, TOP = 8, BOTTOM = 22;
const MARKS = ["M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0Z", "M-3.5 -3.5h7v7h-7Z", "M0 -4.5L4.5 3.5H-4.5Z",
  "M0 -4.5L4.5 0L0 4.5L-4.5 0Z", "M-4 -4L4 4M-4 4L4 -4", "M-4 0H4M0 -4V4"];
const first = page.minutes[0], end = page.minutes.at(-1);
const across = (minutes) => LEFT + ((WIDE - LEFT - RIGHT) * (minutes - first)) / Math.max(end - first, 1e-9);

function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
const tag = (name, attributes, ...children) => filled(document.createElement(name), attributes, children);
const element = (name, attributes, ...children) => filled(document.createElementNS(SVG, name), attributes, children);

// A path through the points whose height is known.
function path(points, high) {
  let begun = false;
  return points.map(([minutes, value]) => {
    if (value === null || value === undefined) return (begun = false), "";
    const step = `${begun ? "L" : "M"}${across(minutes).toFixed(1)} ${high(value).toFixed(1)}`;
    begun = true;
    return step;
  }).join("");
}

// Round steps of an axis from zero, four or five of them.
function steps(largest) {
  const rough = largest / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  return Array.from({ length: Math.ceil(largest / step - 1e-9) + 1 }, (_, number) => Number((number * step).toPrecision(6)));
}

// An empty chart: axes, a line at the init time, and one at the time that the map shows.
function chart(into, title, tall, ticks, key) {
  const top = ticks.at(-1), high = (value) => TOP + (tall - TOP - BOTTOM) * (1 - value / top);
  const svg = element("svg", { viewBox: `0 0 ${WIDE} ${tall}`, role: "img", "aria-label": title });
  for (const tick of ticks) {
    svg.append(element("path", { class: "grid", d: `M${LEFT} ${high(tick)}H${WIDE - RIGHT}` }),
      element("text", { x: LEFT - 5, y: high(tick) + 4, "text-anchor": "end" }, String(tick)));
  }
  const every = Math.max(1, Math.ceil(page.minutes.length / 5)), last = page.minutes.length - 1;
  page.minutes.forEach((minutes, frame) => {
    if ((last - frame) % every) return;
    const anchor = frame === last ? "end" : across(minutes) < LEFT + 14 ? "start" : "middle";
    svg.append(element("text", { x: frame === last ? WIDE : across(minutes), y: tall - 6, "text-anchor": anchor },
      page.clock[frame].replace(" UTC", "")));
  });
  if (past) svg.append(element("path", { class: "init", d: `M${across(0)} ${TOP}V${tall - BOTTOM}` }));
  svg.append(element("path", { class: "at", d: `M0 ${TOP}V${tall - BOTTOM}` }));
  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect();
    const here = ((event.clientX - box.left) / box.width) * WIDE;
    const away = page.minutes.map((minutes) => Math.abs(across(minutes) - here));
    setFrame(away.indexOf(Math.min(...away)));
  });
  into.replaceChildren(tag("figure", {}, tag("figcaption", {}, title, " ", tag("span", { class: "said" })), svg, key));
  return { svg, high };
}

let sayPlume = () => "", sayChances = () => "";
function pointAt(frame) {
  for (const [id, say] of [["plume", sayPlume], ["chances", sayChances]]) {
    const said = document.querySelector(`#${id} .said`);
    if (said) said.textContent = say(frame);
  }
  for (const line of document.querySelectorAll("#place .at")) {
    line.setAttribute("transform", `translate(${across(page.minutes[frame])} 0)`);
  }
}

const ahead = page.minutes.slice(past);
const legend = (...items) => tag("p", { class: "key" }, ...items.map(([style, words]) => {
  const mark = /^\d$/.test(style)
    ? [element("path", { class: `line t${style}`, d: "M0 7H28" }), element("path", { class: `mark t${style}`, d: MARKS[style], transform: "translate(14 7)" })]
    : [element(style === "seen" ? "circle" : "path", style === "seen" ? { class: style, cx: 14, cy: 7, r: 3 } : { class: style, d: style.startsWith("band") ? "M0 2H28V12H0Z" : "M0 7H28" })];
  return tag("span", {}, element("svg", { viewBox: "0 0 28 14", "aria-hidden": "true" }, ...mark), ` ${words}`);
}));

function drawPlume(of) {
  const ensemble = page.size > 1;
  const everything = [of.observed ?? [], ...of.members, ...page.quantiles.map((name) => of[name] ?? [])].flat().map(shown);
  const largest = Math.max(amount(Math.round(page.thresholds[0].counts)), ...everything.filter((value) => value !== null));
  const key = legend(...(of.observed ? [["seen", "observed"]] : []), ...(ensemble
    ? [["median", "median"], ["band half", "25 to 75 %"], ["band", "10 to 90 %"], ...(of.members.length ? [["one", "members"]] : [])]
    : [["median", "forecast"]]));
  const { svg, high } = chart(part("plume"), `${page.scales.amount.name[0].toUpperCase()}${page.scales.amount.name.slice(1)} (${page.unit})`, 165, steps(largest), key);
  sayPlume = (frame) => {
    const lead = frame - past, time = page.clock[frame];
    if (lead < 0) return `${time}: observed ${amountText(of.observed[frame])}`;
    if (!ensemble) return `${time}: ${amountText(of.members[0][lead])}`;
    return `${time}: median ${amountText(of.median[lead])}, 90th percentile ${amountText(of.q90[lead])}`;
  };
  const line = (codes) => path(codes.map((code, lead) => [ahead[lead], shown(code)]), high);
  const band = (low, top, style) => {
    const known = ahead.map((_, lead) => lead).filter((lead) => shown(of[low][lead]) !== null);
    const edge = (name, leads) => leads.map((lead) => `${across(ahead[lead]).toFixed(1)} ${high(shown(of[name][lead])).toFixed(1)}`);
    if (known.length) svg.append(element("path", { class: style, d: `M${[...edge(low, known), ...edge(top, known.toReversed())].join("L")}Z` }));
  };
  if (ensemble) {
    band("q10", "q90", "band");
    band("q25", "q75", "band half");
    for (const member of of.members) svg.append(element("path", { class: "one", d: line(member) }));
  }
  svg.append(element("path", { class: "median", d: line(ensemble ? of.median : of.members[0]) }));
  (of.observed ?? []).forEach((code, frame) => {
    if (code !== MISSING) svg.append(element("circle", { class: "seen", cx: across(page.minutes[frame]), cy: high(shown(code)), r: 3 }));
  });
}

const percent = (code) => (code === MISSING ? "–" : `${code} %`);
function drawChances(of) {
  if (page.size === 1) return;
  const key = legend(...page.thresholds.map(({ text }, number) => [String(number), text]));
  const { svg, high } = chart(part("chances"), `Probability (%) of thresholds in ${page.unit}`, 135, [0, 25, 50, 75, 100], key);
  sayChances = (frame) => (frame < past ? "" : `${page.clock[frame]}: ${page.thresholds.map(({ text }, number) =>
    `${text.replace(` ${page.unit}`, "")}: ${percent(of[`p${number}`][frame - past])}`).join(", ")}`);
  page.thresholds.forEach((_, number) => {
    const points = of[`p${number}`].map((code, lead) => [ahead[lead], code === MISSING ? null : code]);
    svg.append(element("path", { class: `line t${number}`, d: path(points, high) }));
    for (const [minutes, value] of points.filter(([, value]) => value !== null)) {
      svg.append(element("path", { class: `mark t${number}`, d: MARKS[number], transform: `translate(${across(minutes)} ${high(value)})` }));
    }
  });
}

const lasting = `${Math.round(ahead.at(-1))} minutes`;
const clockAt = (lead) => (lead === MISSING ? "–" : page.clock[past + lead].replace(" UTC", ""));
const cells = (kind, texts) => tag("tr", {}, ...texts.map((text, column) =>
  tag(column ? kind : "th", column && kind === "td" ? {} : { scope: kind === "th" ? "col" : "row" }, text)));
const table = (caption, heads, rows) => tag("table", {}, tag("caption", {}, caption), tag("thead", {}, cells("th", heads)),
  tag("tbody", {}, ...rows.map((row) => cells("td", row))));

// When each threshold is first reached, and the sentence that says it of the lowest.
function drawOnsets(of) {
  const many = page.size > 1, newest = past && -page.minutes[past - 1] <= ahead[0] / 10;
  const now = newest ? of.observed[past - 1] : MISSING;
  const onsets = page.thresholds.map(({ said: text, counts }, number) => {
    const [share, early, median, late] = of[`onset${number}`];
    const known = share !== MISSING, reached = known && share > 0, already = now !== MISSING && now >= counts;
    return {
      text, share, median, already,
      chance: !known || many ? percent(share) : share ? "yes" : "no",
      begins: !reached ? "–" : already ? "already" : clockAt(median),
      range: !reached || early === late ? "" : `${clockAt(early)} to ${clockAt(late)}`,
    };
  });
  const heads = ["threshold", many ? "probability" : "forecast", "from, UTC", ...(many ? ["10 to 90 %"] : [])];
  part("onsets").replaceChildren(table(`Reached within ${lasting}`, heads,
    onsets.map(({ text, chance, begins, range }) => [text, chance, begins, ...(many ? [range] : [])])));
  const { text, share, chance, median, already, range } = onsets[0];
  const about = many ? "most likely about " : "from ", when = `${clockAt(median)} UTC${range ? ` (10 to 90 %: ${range})` : ""}`;
  if (chance === "–") return "The radar did not see this place: there is no forecast.";
  if (!share) {
    const none = many ? `unlikely (none of ${page.size} members)` : "not forecast";
    return `Within ${lasting}, ${text} is ${none}${already ? ", though observed already" : ""}.`;
  }
  const whose = !many ? "" : share === 100 ? `all of ${page.size} members, ` : `${chance}, `;
  const from = already ? `observed already${median ? `, again ${about}${when}` : ""}`
    : median ? `${many ? "begins " : ""}${about}${when}` : `from the first lead time on, ${when}`;
  return `${text} within ${lasting}: ${whose}${from}.`;
}

function drawNumbers(of) {
  const many = page.size > 1, names = many ? ["mean", ...page.quantiles] : [];
  const number = (code) => (code === undefined || code === MISSING ? "–" : silent && code <= 5 ? "no echo" : String(Number(amount(code).toPrecision(3))));
  const heads = ["time, UTC", ...(of.observed ? ["observed"] : []), ...names.map((name) => name.replace(/^q(\d+)$/, "$1 %")),
    ...(many ? page.thresholds.map(({ text }) => `P(${text})`) : ["forecast"])];
  const rows = ahead.map((_, lead) => [page.clock[past + lead].replace(" UTC", ""), ...(of.observed ? [number(of.observed[past + lead])] : []),
    ...names.map((name) => number(of[name][lead])),
    ...(many ? page.thresholds.map((_, place) => percent(of[`p${place}`][lead])) : [number(of.members[0][lead])])]);
  part("numbers").replaceChildren(table(`In ${page.unit}`, heads, rows));
}
