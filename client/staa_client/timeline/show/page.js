"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const canvas = $("tracks"), pen = canvas.getContext("2d");
const ROW = 46, AXIS = 26, LABELS = 150, LEAST = 1;
const COLOURS = ["#565ca0", "#b93434", "#147040", "#8c5600", "#7a3fa0", "#00717a", "#a0397a", "#50701e"];
let from = 0, to = data.duration, chosen = -1, dragged = null;

function clock(seconds) {
  const tenths = Math.round(seconds * 10), minutes = Math.floor(tenths / 600), rest = tenths % 600;
  const tail = String(Math.floor(rest / 10)).padStart(2, "0") + "." + (rest % 10), hours = Math.floor(minutes / 60);
  return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}
const colour = (track) => COLOURS[track % COLOURS.length];
const wide = () => canvas.clientWidth - LABELS;
const xOf = (second) => LABELS + (second - from) / (to - from) * wide();
const secondAt = (x) => from + (x - LABELS) / wide() * (to - from);
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

function look(start, end) {
  const length = Math.min(Math.max(end - start, Math.min(LEAST, data.duration)), data.duration);
  from = Math.min(Math.max(start, 0), data.duration - length);
  to = from + length;
  draw();
}
function zoom(factor, at = (from + to) / 2) { look(at - (at - from) * factor, at + (to - at) * factor); }
function move(share) { const way = (to - from) * share; look(from + way, to + way); }

function draw() {
  const scale = window.devicePixelRatio || 1, height = data.tracks.length * ROW + AXIS;
  canvas.style.height = height + "px";
  canvas.width = Math.round(canvas.clientWidth * scale);
  canvas.height = Math.round(height * scale);
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.font = "13px system-ui, sans-serif";
  data.tracks.forEach((track, row) => drawTrack(track, row));
  drawAxis(data.tracks.length * ROW);
  $("shown").textContent = `${clock(from)} to ${clock(to)}`;
  canvas.dataset.from = from; canvas.dataset.to = to;
}
function drawTrack(track, row) {
  const top = row * ROW, floor = top + ROW - 8;
  pen.fillStyle = ink("--ink");
  let text = track.label;
  while (text.length > 1 && pen.measureText(text).width > LABELS - 16) text = text.slice(0, -2) + "…";
  pen.fillText(text, 8, top + ROW / 2 + 4);
  pen.save();
  pen.beginPath(); pen.rect(LABELS, top, wide(), ROW); pen.clip();
  data.spans.forEach((span, index) => {
    if (span.track !== row) return;
    pen.globalAlpha = index === chosen ? 1 : 0.55;
    pen.fillStyle = colour(row);
    pen.fillRect(xOf(span.start), top + 6, Math.max(xOf(span.end) - xOf(span.start), 2), ROW - 14);
  });
  pen.globalAlpha = 1;
  pen.strokeStyle = ink("--ink"); pen.lineWidth = 1.2;
  pen.beginPath();
  track.curve.forEach((score, index) => {
    const x = xOf(data.middles[index]), y = floor - score * (ROW - 14);
    if (index) pen.lineTo(x, y); else pen.moveTo(x, y);
  });
  pen.stroke();
  pen.restore();
  pen.strokeStyle = ink("--line"); pen.lineWidth = 0.5;
  pen.beginPath(); pen.moveTo(LABELS, floor + 0.5); pen.lineTo(canvas.clientWidth, floor + 0.5); pen.stroke();
}
function drawAxis(top) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
  const step = steps.find((each) => (to - from) / each <= Math.max(wide() / 90, 2)) || 36000;
  pen.fillStyle = ink("--soft"); pen.strokeStyle = ink("--line"); pen.textAlign = "center";
  for (let second = Math.ceil(from / step) * step; second <= to; second += step) {
    pen.beginPath(); pen.moveTo(xOf(second), top); pen.lineTo(xOf(second), top + 5); pen.stroke();
    pen.fillText(clock(second), Math.min(Math.max(xOf(second), LABELS + 20), canvas.clientWidth - 26), top + 20);
  }
  pen.textAlign = "left";
}
function choose(index, moves) {
  const span = data.spans[index];
  chosen = index;
  $("name").textContent = span.label;
  $("words").textContent = `${clock(span.start)} to ${clock(span.end)}, score ${span.score}, surest at ${clock(span.peak)}`;
  $("maps").replaceChildren(...span.maps.map((map) => {
    const figure = document.createElement("figure"), image = document.createElement("img");
    image.src = map.image; image.alt = `Map of ${span.label} ${map.words}`;
    const words = document.createElement("figcaption");
    words.textContent = map.words;
    figure.append(image, words);
    return figure;
  }));
  $("trust").hidden = !span.trust;
  if (span.trust) {
    $("trust").className = `trust ${span.trust.tone}`;
    $("verdict").textContent = span.trust.words;
    $("sentence").textContent = span.trust.sentence;
  }
  $("about").textContent = span.about.join(" ");
  if (moves && (span.end < from || span.start > to)) look(span.start - (to - from) / 2, span.start + (to - from) / 2);
  draw();
}
function spanAt(event) {
  const area = canvas.getBoundingClientRect(), x = event.clientX - area.left;
  const row = Math.floor((event.clientY - area.top) / ROW);
  return data.spans.findIndex((span) => span.track === row && xOf(span.start) - 2 <= x && x <= xOf(span.end) + 2);
}
canvas.addEventListener("pointerdown", (event) => {
  dragged = { x: event.clientX, from, to, far: false };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (!dragged) return;
  const way = (dragged.x - event.clientX) / wide() * (dragged.to - dragged.from);
  if (Math.abs(dragged.x - event.clientX) > 4) dragged.far = true;
  if (dragged.far) look(dragged.from + way, dragged.to + way);
});
canvas.addEventListener("pointerup", (event) => {
  const index = dragged && !dragged.far ? spanAt(event) : -1;
  dragged = null;
  if (index >= 0) choose(index, false);
});
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(event.deltaY < 0 ? 0.8 : 1.25, secondAt(event.clientX - canvas.getBoundingClientRect().left));
}, { passive: false });
$("in").onclick = () => zoom(0.5);
$("out").onclick = () => zoom(2);
$("left").onclick = () => move(-0.5);
$("right").onclick = () => move(0.5);
$("all").onclick = () => look(0, data.duration);
document.querySelectorAll("button[data-span]").forEach((button) => {
  button.onclick = () => { choose(Number(button.dataset.span), true); $("detail").scrollIntoView({ block: "nearest" }); };
});
window.addEventListener("resize", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
if (data.spans.length) choose(0, false);
