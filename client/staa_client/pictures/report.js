"use strict";
const byId = id => document.getElementById(id);
const data = JSON.parse(byId("data").textContent), count = data.numbers.length;
const play = byId("play"), shown = byId("shown"), opacity = byId("opacity"), focus = byId("focus"), dynamic = byId("dynamic");
const once = matchMedia("(prefers-reduced-motion: reduce)");
const colourOf = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const images = data.frames.map(text => {
  const image = new Image();
  image.onload = () => draw();
  image.src = "data:image/jpeg;base64," + text;
  return image;
});
let at = data.start, timer = 0;

// A share, 0 to 1, as layer.py rounds it: less than 1 is never 100%, more than 0 is never 0%.
function percent(share) {
  const tenths = Math.floor(share * 1000 + 0.5);
  if (tenths >= 1000) return share >= 1 ? "100%" : ">99.9%";
  return tenths <= 0 ? (share > 0 ? "<0.1%" : "0%") : (tenths / 10).toFixed(1) + "%";
}

// The two cells whose centres are beside each pixel, and how far the pixel is towards the second.
function between(cells, pixels) {
  return Array.from({length: pixels}, (_, i) => {
    const place = Math.min(Math.max((i + 0.5) * cells / pixels - 0.5, 0), cells - 1), before = Math.floor(place);
    return [before, Math.min(before + 1, cells - 1), place - before];
  });
}

// One map: its picture, its curve and its words.
class View {
  constructor(map, element) {
    this.map = map;
    this.view = element.querySelector(".view");
    this.curve = element.querySelector(".curve");
    this.status = element.querySelector(".status");
    this.colours = Uint8Array.from(atob(map.colours), c => c.charCodeAt(0));
    const longest = Math.max(data.width, data.height);
    const scale = longest < 640 ? Math.min(640 / longest, 4) : Math.min(1, 960 / longest);
    this.view.width = Math.max(1, Math.round(data.width * scale));
    this.view.height = Math.max(1, Math.round(data.height * scale));
    [this.left, this.top, this.right, this.bottom] = map.box.map(edge => Math.round(edge * scale));
    const fine = Math.min(1, 320 / Math.max(this.right - this.left, this.bottom - this.top));
    this.heat = document.createElement("canvas");
    this.heat.width = Math.max(1, Math.round((this.right - this.left) * fine));
    this.heat.height = Math.max(1, Math.round((this.bottom - this.top) * fine));
    this.across = between(map.shape[2], this.heat.width);
    this.down = between(map.shape[1], this.heat.height);
    this.first = Math.min(...map.seconds.map(s => s[0]));
    this.last = Math.max(...map.seconds.map(s => s[1]), this.first + 0.001);
    this.listen();
  }

  get step() { return this.map.steps[at]; }

  get cut() { return dynamic.ariaPressed === "true" ? this.map.threshold : focus.value / 100; }

  drawHeat() {
    const {map, heat} = this, pen = heat.getContext("2d"), picture = pen.createImageData(heat.width, heat.height), out = picture.data;
    const cut = this.cut - 0.00005, first = this.step * map.shape[1] * map.shape[2];
    const cell = (r, c) => { const value = map.values[first + r * map.shape[2] + c] / 10000; return Math.abs(value) >= cut ? Math.max(-1, Math.min(1, value)) : 0; };
    let k = 0;
    for (const [r0, r1, y] of this.down) for (const [c0, c1, x] of this.across) {
      const value = (cell(r0, c0) * (1 - x) + cell(r0, c1) * x) * (1 - y) + (cell(r1, c0) * (1 - x) + cell(r1, c1) * x) * y;
      const colour = 3 * Math.round((map.signs ? (value + 1) / 2 : value) * 255);
      out[k++] = this.colours[colour]; out[k++] = this.colours[colour + 1]; out[k++] = this.colours[colour + 2];
      out[k++] = images.length ? 2.55 * opacity.value * Math.pow(Math.abs(value), 0.7) : 255;
    }
    pen.putImageData(picture, 0, 0);
  }

  drawView() {
    const {view, left, top, right, bottom} = this, pen = view.getContext("2d");
    pen.fillStyle = "#2b2b33";
    pen.fillRect(0, 0, view.width, view.height);
    if (images.length) {
      if (shown.checked) pen.filter = "saturate(" + (1 - opacity.value / 200) + ")"; // so that the map's colours stand out
      pen.drawImage(images[at], 0, 0, view.width, view.height);
      pen.filter = "none";
    }
    if (shown.checked) {
      this.drawHeat();
      pen.drawImage(this.heat, left, top, right - left, bottom - top);
    }
    const strips = [[0, 0, view.width, top], [0, bottom, view.width, view.height - bottom],
      [0, top, left, bottom - top], [right, top, view.width - right, bottom - top]].filter(s => s[2] > 0 && s[3] > 0);
    pen.textAlign = "center"; pen.textBaseline = "middle";
    for (const [x, y, w, h] of strips) {
      pen.fillStyle = "rgba(20, 20, 26, 0.78)";
      pen.fillRect(x, y, w, h);
      const size = Math.min(22, Math.min(w, h) * 0.6, Math.max(w, h) / 12);
      if (size < 7) continue;
      pen.save();
      pen.translate(x + w / 2, y + h / 2);
      if (h > w) pen.rotate(-Math.PI / 2);
      pen.font = size + "px system-ui, sans-serif";
      pen.fillStyle = "#dcdce6";
      pen.fillText("not seen by the model", 0, 0);
      pen.restore();
    }
    if (strips.length) { pen.strokeStyle = "#9698a5"; pen.strokeRect(left - 0.5, top - 0.5, right - left + 1, bottom - top + 1); }
  }

  drawCurve() {
    const {map, curve, first, last} = this, ratio = window.devicePixelRatio || 1, wide = curve.clientWidth, tall = curve.clientHeight;
    curve.width = Math.round(wide * ratio); curve.height = Math.round(tall * ratio);
    const pen = curve.getContext("2d");
    pen.scale(ratio, ratio);
    pen.fillStyle = colourOf("--ground");
    pen.fillRect(0, 0, wide, tall);
    const base = tall - 24, most = Math.max(...map.temporal, 1e-9) * 1.12, x = second => 8 + (second - first) / (last - first) * (wide - 16);
    map.temporal.forEach((share, step) => {
      const [start, end] = map.seconds[step].map(x), height = Math.max(share, 0) / most * (base - 6);
      pen.globalAlpha = step === this.step ? 1 : 0.6; // the step that is shown stands out from the others
      pen.fillStyle = colourOf(step === map.peak ? "--accent" : "--bar");
      pen.fillRect(start, base - height, Math.max(end - start - 2, 1), height);
    });
    pen.globalAlpha = 1;
    pen.strokeStyle = colourOf("--ink");
    pen.setLineDash([4, 4]);
    const even = base - 1 / map.temporal.length / most * (base - 6);
    pen.beginPath(); pen.moveTo(8, even); pen.lineTo(wide - 8, even); pen.stroke();
    pen.setLineDash([]);
    pen.lineWidth = 2;
    pen.beginPath(); pen.moveTo(x(data.times[at]), 0); pen.lineTo(x(data.times[at]), base); pen.stroke();
    pen.fillStyle = colourOf("--soft");
    pen.font = "12px system-ui, sans-serif";
    const gap = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find(g => (last - first) / g * 52 <= wide) || last - first;
    for (let n = Math.ceil(first / gap - 1e-9); n * gap <= last + 1e-9; n++) {
      const text = +(n * gap).toFixed(3) + " s", half = pen.measureText(text).width / 2;
      pen.fillText(text, Math.min(Math.max(x(n * gap) - half, 0), wide - 2 * half), tall - 8);
    }
  }

  say() {
    const {map, step} = this, [start, end] = map.seconds[step], r = map.regions[step], steps = map.temporal.length;
    const text = "Step " + (step + 1) + " of " + steps + " (" + start.toFixed(2) + " to " + end.toFixed(2) + " s) has " +
      percent(map.temporal[step]) + " of the " + map.subject + ", even share " + percent(1 / steps) +
      "; strongest region (" + r[0] + ", " + r[1] + ") to (" + r[2] + ", " + r[3] + ") pixels.";
    this.status.textContent = text;
    this.view.setAttribute("aria-label", map.title + (shown.checked ? "" : ", hidden") + ". " + text);
    this.curve.setAttribute("aria-valuemax", count - 1);
    this.curve.setAttribute("aria-valuenow", at);
    this.curve.setAttribute("aria-valuetext", now() + ". " + text);
  }

  draw() { this.drawView(); this.drawCurve(); this.say(); }

  listen() {
    const {curve} = this;
    const point = event => {
      const box = curve.getBoundingClientRect(), second = this.first + (event.clientX - box.left - 8) / (box.width - 16) * (this.last - this.first);
      let nearest = 0;
      data.times.forEach((time, i) => { if (Math.abs(time - second) < Math.abs(data.times[nearest] - second)) nearest = i; });
      seek(nearest);
    };
    curve.onpointerdown = event => { curve.setPointerCapture(event.pointerId); point(event); };
    curve.onpointermove = event => { if (event.buttons) point(event); };
    curve.onkeydown = event => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const to = {ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, Home: 0, End: count - 1,
        PageDown: at - Math.ceil(count / 10), PageUp: at + Math.ceil(count / 10)}[event.key];
      if (to !== undefined) { event.preventDefault(); seek(to); }
      else if (event.key === " ") { event.preventDefault(); play.click(); }
    };
  }
}

const views = data.maps.map((map, i) => new View(map, document.querySelectorAll(".map")[i]));
const now = () => data.times[at].toFixed(2) + " s, frame " + data.numbers[at];

function draw() {
  for (const view of views) view.draw();
  byId("now").textContent = now();
}
function seek(to) { at = Math.min(Math.max(to, 0), count - 1); draw(); }
function stop() { clearTimeout(timer); timer = 0; play.textContent = "Play"; }
function tick() {
  const wait = at + 1 < count ? data.times[at + 1] - data.times[at] : (views[0].last - views[0].first) / count;
  timer = setTimeout(() => {
    if (at + 1 === count && once.matches) { stop(); return; } // reduced motion: no loop
    seek((at + 1) % count);
    tick();
  }, Math.min(Math.max(wait * 1000, 40), 1000));
}
play.onclick = () => {
  if (timer) { stop(); return; }
  if (at + 1 === count) seek(0);
  play.textContent = "Pause";
  tick();
};
// Arrow keys move through the frames where nothing else takes them.
addEventListener("keydown", event => {
  if (event.target !== document.body || event.ctrlKey || event.altKey || event.metaKey) return;
  const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
  if (by) { event.preventDefault(); seek(at + by); }
});
function press(on) { dynamic.ariaPressed = String(on); draw(); }
opacity.oninput = shown.onchange = draw;
focus.oninput = () => press(false);
dynamic.onclick = () => press(dynamic.ariaPressed !== "true");
addEventListener("resize", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
if (!images.length) opacity.disabled = true;
draw();
