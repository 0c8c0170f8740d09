// The case viewer: cuts the frame of the chosen lead time out of each picture and describes it in words.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const part = (id) => document.getElementById(id);
  const [lead, member, play] = ["lead", "member", "play"].map(part);
  const pictures = new Map();

  function picture(uri) {
    if (!pictures.has(uri)) {
      const image = new Image();
      image.src = uri;
      pictures.set(uri, image);
    }
    return pictures.get(uri);
  }

  async function draw(name, uri, words) {
    const figure = part(`${name}-frame`);
    figure.hidden = !uri;
    if (!uri) return;
    figure.querySelector("figcaption").textContent = words;
    const canvas = part(`${name}-picture`);
    const frame = Number(lead.value);
    canvas.wanted = uri + frame;
    const image = picture(uri);
    await image.decode();
    if (canvas.wanted !== uri + frame) return; // something else was chosen meanwhile
    const { width, height } = data;
    canvas.getContext("2d").drawImage(image, 0, frame * height, width, height, 0, 0, width, height);
    canvas.setAttribute("aria-label", `${words}, ${part("time").textContent}`);
  }

  function show() {
    const shown = data.cases[part("case").value];
    const model = data.models[part("model").value];
    const drawn = shown.models[part("model").value];
    const frame = Number(lead.value);
    const time = shown.times[frame];
    part("time").textContent = time;
    lead.setAttribute("aria-valuetext", time);
    const ensemble = Boolean(drawn.mean);
    const threshold = part("threshold");
    member.closest(".picker").hidden = !ensemble;
    threshold.closest(".picker").hidden = !ensemble || !data.thresholds.length;
    for (const bar of document.querySelectorAll(".bars .probability, .bars .spread")) bar.hidden = !ensemble;
    for (const path of document.querySelectorAll("#viewer .frame path")) path.setAttribute("d", shown.outlines);
    const number = Number(member.value);
    const level = threshold.selectedOptions[0]?.textContent;
    part("later").hidden = frame < shown.seen;
    draw("observed", shown.observed, "Observed");
    draw("mean", drawn.mean, `${model.name}, mean`);
    draw("member", drawn.members[number], ensemble ? `${model.name}, member ${model.members[number]}` : model.name);
    draw("probability", ensemble && drawn.probability[threshold.value], `P(${level})`);
    draw("spread", drawn.spread, `${model.name}, spread`);
  }

  function listMembers() {
    const { members } = data.models[part("model").value];
    const chosen = Math.min(Number(member.value), members.length - 1);
    const option = (name, number) => new Option(String(name), String(number), false, number === chosen);
    member.replaceChildren(...members.map(option));
  }

  let timer = null;
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }
  function step() {
    lead.value = String((Number(lead.value) + 1) % data.frames);
    show();
  }
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "Stop";
    timer = setInterval(step, 500);
  });

  part("model").addEventListener("change", listMembers);
  part("viewer").addEventListener("input", show);
  listMembers();
  show();
})();
