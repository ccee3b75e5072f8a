// The share of each step over time, with the moment that is shown and the frames that the model saw; it is a slider.
class Curve {
  constructor(map, element, player) {
    this.map = map;
    this.player = player;
    this.curve = element.querySelector(".curve");
    this.status = element.querySelector(".status");
    this.view = element.querySelector(".view");
    this.first = player.whole[0]; // the same for all maps
    this.last = Math.max(player.whole[1], this.first + 0.001);
    this.listen();
  }

  x(second) { return 8 + (second - this.first) / (this.last - this.first) * (this.curve.clientWidth - 16); }

  secondAt(event) {
    const box = this.curve.getBoundingClientRect();
    return this.first + (event.clientX - box.left - 8) / (box.width - 16) * (this.last - this.first);
  }

  draw(theme) {
    const {map, curve, player} = this, ratio = window.devicePixelRatio || 1, wide = curve.clientWidth, tall = curve.clientHeight;
    const size = [Math.round(wide * ratio), Math.round(tall * ratio)], x = second => this.x(second), current = player.stepOf(map);
    if (curve.width !== size[0] || curve.height !== size[1]) [curve.width, curve.height] = size;
    const pen = curve.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = theme.ground;
    pen.fillRect(0, 0, wide, tall);
    const base = tall - 30, most = Math.max(...map.temporal, 1e-9) * 1.12;
    if (player.loop !== "clip") {
      const [start, end] = player.loop === "step" ? player.seconds[player.looped] : player.span;
      pen.fillStyle = theme.bar; pen.globalAlpha = 0.22;
      pen.fillRect(x(start), 0, Math.max(x(end) - x(start), 1), base);
    }
    map.temporal.forEach((share, step) => {
      const [start, end] = map.seconds[step].map(x), height = Math.max(share, 0) / most * (base - 6);
      pen.globalAlpha = step === current ? 1 : 0.6; // the step that is shown stands out from the others
      pen.fillStyle = step === map.peak ? theme.accent : theme.bar;
      pen.fillRect(start, base - height, Math.max(end - start - 2, 1), height);
    });
    pen.globalAlpha = 1;
    pen.strokeStyle = theme.ink; pen.lineWidth = 1;
    pen.setLineDash([4, 4]);
    const even = base - 1 / map.temporal.length / most * (base - 6);
    pen.beginPath(); pen.moveTo(8, even); pen.lineTo(wide - 8, even); pen.stroke();
    pen.setLineDash([]);
    this.drawTicks(pen, theme, base);
    pen.lineWidth = 2; pen.strokeStyle = theme.ink;
    pen.beginPath(); pen.moveTo(x(player.second), 0); pen.lineTo(x(player.second), base); pen.stroke();
    pen.fillStyle = theme.soft;
    pen.font = "12px system-ui, sans-serif";
    const {first, last} = this;
    const gap = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find(g => (last - first) / g * 52 <= wide) || last - first;
    for (let n = Math.ceil(first / gap - 1e-9); n * gap <= last + 1e-9; n++) {
      const text = +(n * gap).toFixed(3) + " s", half = pen.measureText(text).width / 2;
      pen.fillText(text, clamp(x(n * gap) - half, 0, wide - 2 * half), tall - 6);
    }
  }

  // A tick under the curve for each frame that the model saw; the one that is shown is longer and has the colour of ink.
  drawTicks(pen, theme, base) {
    const {map, player} = this, shown = player.sampled[player.at];
    player.data.times.forEach((time, i) => {
      if (map.seen && !map.seen.includes(i)) return;
      const here = i === shown;
      pen.fillStyle = here ? theme.ink : theme.soft;
      pen.fillRect(this.x(time) - (here ? 2 : 1), base + 2, here ? 4 : 2, here ? 9 : 6);
    });
  }

  say() {
    const {map, player, curve} = this, step = player.stepOf(map), r = map.regions[step], steps = map.temporal.length;
    const text = "Where, " + stretch(map.seconds[step]) + " (step " + (step + 1) + " of " + steps + "): " +
      percent(map.temporal[step]) + " of the " + map.subject + ", even share " + percent(1 / steps) +
      "; strongest region (" + r[0] + ", " + r[1] + ") to (" + r[2] + ", " + r[3] + ") pixels.";
    this.status.textContent = text;
    this.view.setAttribute("aria-label", map.title + (byId("shown").checked ? "" : ", hidden") + ". " + text);
    curve.setAttribute("aria-valuemax", player.last);
    curve.setAttribute("aria-valuenow", player.at);
    curve.setAttribute("aria-valuetext", player.now + ", " + player.seen + ". " + text);
  }

  listen() {
    const {curve, player} = this;
    let marked = null; // where a span began
    curve.onpointerdown = event => {
      curve.setPointerCapture(event.pointerId);
      marked = event.shiftKey ? this.secondAt(event) : null;
      if (marked === null) player.seekSecond(this.secondAt(event));
    };
    curve.onpointermove = event => {
      if (!event.buttons) return;
      if (marked === null) player.seekSecond(this.secondAt(event));
      else if (Math.abs(this.secondAt(event) - marked) > 0.01) player.setLoop("span", [marked, this.secondAt(event)]);
    };
    curve.onkeydown = event => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const {at, last} = player, tenth = Math.ceil((last + 1) / 10);
      const to = {ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, Home: 0, End: last,
        PageDown: at - tenth, PageUp: at + tenth}[event.key];
      if (to !== undefined) { event.preventDefault(); player.seek(to); }
      else if (event.key === " ") { event.preventDefault(); byId("play").click(); }
    };
  }
}
