// One map over the picture of the moment: its colours, its legend, and the value of the cell under the pointer.
class MapView {
  constructor(data, map, element) {
    this.map = map;
    this.scales = data.scales;
    this.view = element.querySelector(".view");
    this.pointed = element.querySelector(".pointed");
    this.legend = element.querySelector(".legend");
    const longest = Math.max(data.width, data.height);
    this.scale = longest < 640 ? 640 / longest : Math.min(1, 960 / longest);
    this.view.width = Math.max(1, Math.round(data.width * this.scale));
    this.view.height = Math.max(1, Math.round(data.height * this.scale));
    [this.left, this.top, this.right, this.bottom] = map.box.map(edge => Math.round(edge * this.scale));
    const wide = Math.max(this.right - this.left, 1), tall = Math.max(this.bottom - this.top, 1);
    const fine = Math.min(1, 240 / Math.max(wide, tall));
    this.heat = document.createElement("canvas");
    this.heat.width = Math.max(1, Math.round(wide * fine));
    this.heat.height = Math.max(1, Math.round(tall * fine));
    this.grey = this.heat.cloneNode(); // the picture under the heat, without its colours
    this.sample = document.createElement("canvas"); // the picture in 8 x 8 pixels: is it dark?
    this.sample.width = this.sample.height = 8;
    this.picture = this.heat.getContext("2d").createImageData(this.heat.width, this.heat.height);
    this.pixels = new Uint32Array(this.picture.data.buffer); // a pixel of `picture` each
    const across = between(map.shape[2], this.heat.width);
    this.befores = Uint16Array.from(across, column => column[0]);
    this.afters = Uint16Array.from(across, column => column[1]);
    this.shares = Float32Array.from(across, column => column[2]);
    this.down = between(map.shape[1], this.heat.height);
    this.columns = new Float32Array(map.shape[2]); // one row of cells
    this.middles = map.seconds.map(([start, end]) => (start + end) / 2);
    this.cells = new Float32Array(map.shape[1] * map.shape[2]);
    this.pointer = null; // {x, y} in pixels of the source
    this.pointTo = () => {}; // called with where the pointer is now; all maps show the value at the same place
    this.view.onpointermove = this.view.onpointerdown = event => this.point(event);
    this.view.onpointerleave = () => this.pointTo(null);
  }

  // `look`: opacity (0 to 100), cut (0 to 1, or null for the dynamic threshold), colours (a name), covers (pictures).
  setLook(look) {
    const drawn = this.map.looks[look.colours], colours = bytesOf(this.scales[drawn.scale]);
    this.values = drawn.values || this.map.looks.heat.values;
    this.focused = look.cut !== 0;
    this.lined = this.focused || !look.covers || look.opacity > 0;
    if (look.cut === null) { // the dynamic threshold is one of shares: of a flat map it may be below the start of the scale
      const bits = bytesOf(drawn.kept);
      this.keeps = place => bits[place >> 3] >> (place & 7) & 1;
    } else {
      this.keeps = place => Math.abs(this.values[place] / 10000) >= look.cut - 0.00005;
    }
    const paints = new Uint8ClampedArray(4 * 2001); // red, green, blue, opacity of the values -1, -0.999, ..., 1
    for (let i = 0; i <= 2000; i++) {
      const value = i / 1000 - 1, place = 3 * Math.round(255 * (drawn.signs ? (value + 1) / 2 : Math.max(value, 0)));
      const opacity = 2.55 * (look.covers ? look.opacity : 100) * Math.pow(Math.abs(value), 0.7);
      paints.set([...colours.slice(place, place + 3), opacity], 4 * i);
    }
    this.paints = new Uint32Array(paints.buffer);
    const [low, scale, high] = this.legend.children;
    low.textContent = low.title = drawn.low;
    high.textContent = high.title = drawn.high;
    scale.setAttribute("aria-label", "Colour scale from " + drawn.low + " to " + drawn.high);
    const stops = Array.from({length: 18}, (_, i) => {
      const share = i / 17, size = drawn.signs ? Math.abs(2 * share - 1) : share, place = 3 * Math.round(255 * share);
      return "rgba(" + colours.slice(place, place + 3).join(",") + "," + Math.pow(size, 0.7).toFixed(3) + ")";
    });
    const ticks = (drawn.signs ? [25, 75] : [50]).map(at => `linear-gradient(#14141a, #14141a) ${at}% 0 / 2px 100% no-repeat`);
    scale.style.background = [...ticks, "linear-gradient(to right," + stops.join(",") + ") 0 0 / 100% 100%"].join(",") + " #96969c";
  }

  // A cell as it is drawn, from -1 to 1; 0 if it is not kept.
  cellOf(place) { return this.keeps(place) ? clamp(this.values[place] / 10000, -1, 1) : 0; }

  // Fill `cells` for a moment: of one step, or mixed between the middles of two steps, as in a movie.
  mix(player) {
    const size = this.cells.length, step = player.stepOf(this.map);
    let before = step, after = step, share = 0;
    if (player.smooth) {
      before = lastUpTo(this.middles, player.second);
      after = Math.min(before + 1, this.middles.length - 1);
      const gap = this.middles[after] - this.middles[before];
      share = gap > 0 ? clamp((player.second - this.middles[before]) / gap, 0, 1) : 0;
    }
    for (let i = 0; i < size; i++) {
      const first = this.cellOf(before * size + i);
      this.cells[i] = share ? first + (this.cellOf(after * size + i) - first) * share : first;
    }
  }

  drawHeat(player) {
    this.mix(player);
    const {cells, columns, befores, afters, shares, pixels, paints} = this, wide = columns.length, across = shares.length;
    let k = 0;
    for (const [r0, r1, y] of this.down) {
      for (let c = 0; c < wide; c++) columns[c] = cells[r0 * wide + c] * (1 - y) + cells[r1 * wide + c] * y;
      for (let i = 0; i < across; i++) {
        const before = columns[befores[i]];
        pixels[k++] = paints[Math.round((before + (columns[afters[i]] - before) * shares[i]) * 1000) + 1000];
      }
    }
    this.heat.getContext("2d").putImageData(this.picture, 0, 0);
  }

  // `ground`: a canvas with the picture of the moment, or null.
  draw(player, ground, shown) {
    const {view, left, top, right, bottom} = this, pen = view.getContext("2d");
    pen.fillStyle = "#2c2d36";
    pen.fillRect(0, 0, view.width, view.height);
    if (ground) pen.drawImage(ground, 0, 0, view.width, view.height);
    if (shown) {
      this.drawHeat(player);
      const kept = this.focused ? this.keptAt(player) : null;
      if (kept) this.dim(pen, kept);
      if (ground) this.drawGrey(pen);
      pen.drawImage(this.heat, left, top, right - left, bottom - top);
      if (this.lined) this.drawLines(pen, kept);
    }
    this.drawUnseen(pen);
    this.pointed.hidden = !this.pointer;
    if (this.pointer) this.drawPointed(pen, player);
  }

  // The picture under strong heat loses half of its colours, so that those of the scale are seen.
  drawGrey(pen) {
    const {grey, heat, left, top, right, bottom} = this, under = grey.getContext("2d");
    under.globalCompositeOperation = "copy";
    under.filter = "grayscale(1)";
    under.drawImage(pen.canvas, left, top, right - left, bottom - top, 0, 0, grey.width, grey.height);
    under.filter = "none";
    under.globalCompositeOperation = "destination-in";
    under.drawImage(heat, 0, 0);
    pen.globalAlpha = 0.5;
    pen.drawImage(grey, left, top, right - left, bottom - top);
    pen.globalAlpha = 1;
  }

  // Which cells are in focus at the moment.
  keptAt(player) {
    const first = player.stepOf(this.map) * this.cells.length;
    return Array.from(this.cells, (_, i) => Boolean(this.keeps(first + i)));
  }

  // A point of the grid, in cells from its upper left corner, in pixels of the view.
  place(column, row) {
    const {left, top, right, bottom} = this, [, rows, columns] = this.map.shape;
    return [left + clamp(column / columns, 0, 1) * (right - left), top + clamp(row / rows, 0, 1) * (bottom - top)];
  }

  // What is not in focus recedes: it gets darker, or lighter where the picture is dark.
  dim(pen, kept) {
    const {left, top, right, bottom} = this, columns = this.map.shape[2], sample = this.sample.getContext("2d", {willReadFrequently: true});
    sample.drawImage(pen.canvas, left, top, right - left, bottom - top, 0, 0, 8, 8);
    const {data} = sample.getImageData(0, 0, 8, 8), levels = Array.from({length: 64}, (_, i) => data[4 * i + 1]).sort((a, b) => a - b);
    const path = new Path2D();
    path.rect(left, top, right - left, bottom - top);
    kept.forEach((is, i) => {
      if (!is) return;
      const [x0, y0] = this.place(i % columns, Math.floor(i / columns)), [x1, y1] = this.place(i % columns + 1, Math.floor(i / columns) + 1);
      path.rect(x0, y0, x1 - x0, y1 - y0);
    });
    pen.fillStyle = levels[32] < 75 ? "rgba(150, 150, 150, 0.62)" : "rgba(0, 0, 0, 0.62)";
    pen.fill(path, "evenodd");
  }

  // A line, light on dark, around the cells in focus; without a focus around what is at least half way up the scale.
  drawLines(pen, kept) {
    const path = new Path2D(), [, rows, columns] = this.map.shape;
    const line = (from, to) => { path.moveTo(...this.place(...from)); path.lineTo(...this.place(...to)); };
    if (kept) {
      const is = (row, column) => row >= 0 && column >= 0 && row < rows && column < columns && kept[row * columns + column];
      for (let row = 0; row <= rows; row++) for (let column = 0; column <= columns; column++) {
        if (is(row, column) !== is(row - 1, column)) line([column, row], [column + 1, row]);
        if (is(row, column) !== is(row, column - 1)) line([column, row], [column, row + 1]);
      }
    } else {
      for (const sign of this.map.signed ? [1, -1] : [1]) for (const [from, to] of contour(this.cells, rows, columns, sign, 0.5)) line(from, to);
    }
    pen.lineCap = "round";
    for (const [colour, width] of [["#101014", 3.5], ["#fafafa", 1.5]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.stroke(path);
    }
  }

  // Cover what is outside of the box.
  drawUnseen(pen) {
    const {view, left, top, right, bottom} = this;
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
    if (strips.length) { pen.strokeStyle = "#9698a5"; pen.lineWidth = 1; pen.strokeRect(left - 0.5, top - 0.5, right - left + 1, bottom - top + 1); }
  }

  point(event) {
    const {view} = this, box = view.getBoundingClientRect(), ratio = Math.min(box.width / view.width, box.height / view.height);
    const x = (event.clientX - box.left - (box.width - view.width * ratio) / 2) / ratio / this.scale;
    const y = (event.clientY - box.top - (box.height - view.height * ratio) / 2) / ratio / this.scale;
    this.pointTo({x, y});
  }

  // The cell under the pointer: row and column, and its edges in pixels of the source; null outside of the map.
  get cell() {
    if (!this.pointer) return null;
    const [x0, y0, x1, y1] = this.map.box, [, rows, columns] = this.map.shape, {x, y} = this.pointer;
    if (x < x0 || x >= x1 || y < y0 || y >= y1) return null;
    const row = Math.floor((y - y0) / (y1 - y0) * rows), column = Math.floor((x - x0) / (x1 - x0) * columns);
    const edges = [x0 + column / columns * (x1 - x0), y0 + row / rows * (y1 - y0), x0 + (column + 1) / columns * (x1 - x0), y0 + (row + 1) / rows * (y1 - y0)];
    return {row, column, edges: edges.map(Math.round)};
  }

  drawPointed(pen, player) {
    const {cell, scale} = this;
    this.pointed.textContent = cell ? this.wordsOf(cell, player) : "not seen by the model";
    if (!cell) return;
    const [x0, y0, x1, y1] = cell.edges.map(edge => edge * scale);
    pen.lineWidth = 3; pen.strokeStyle = "#14141a";
    pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
    pen.lineWidth = 1.5; pen.strokeStyle = "#fff";
    pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }

  // Share, multiple of the average, seconds and pixels of a cell.
  wordsOf({row, column, edges}, player) {
    const {map} = this, [, rows, columns] = map.shape, step = player.stepOf(map);
    const multiple = map.multiples[(step * rows + row) * columns + column] / 1000, size = Math.abs(multiple);
    const side = !map.signed || !multiple ? "" : multiple > 0 ? ", in favour" : ", against";
    const times = size >= 10 ? size.toFixed(0) : size.toFixed(size >= 1 ? 1 : 2);
    return cellPercent(size / map.multiples.length) + " of the " + map.unit + side + ", " + times +
      " times the average \u00b7 " + stretch(map.seconds[step]) + " \u00b7 pixels (" +
      edges[0] + ", " + edges[1] + ") to (" + edges[2] + ", " + edges[3] + ")";
  }

}

// The lines where sign * cells crosses a level, in cells from the upper left corner: by marching squares between the
// middles of the cells, and up to the edges.
function contour(cells, rows, columns, sign, level) {
  const lines = [], at = (row, column) => sign * cells[clamp(row, 0, rows - 1) * columns + clamp(column, 0, columns - 1)];
  for (let row = -1; row < rows; row++) for (let column = -1; column < columns; column++) {
    const corners = [[row, column], [row, column + 1], [row + 1, column + 1], [row + 1, column]], crossed = [];
    corners.forEach(([r0, c0], i) => {
      const [r1, c1] = corners[(i + 1) % 4], before = at(r0, c0), after = at(r1, c1);
      if ((before >= level) === (after >= level)) return;
      const share = (level - before) / (after - before);
      crossed.push([c0 + 0.5 + (c1 - c0) * share, r0 + 0.5 + (r1 - r0) * share]);
    });
    for (let i = 0; i + 1 < crossed.length; i += 2) lines.push([crossed[i], crossed[i + 1]]);
  }
  return lines;
}

// The share of one cell among thousands, with three digits.
function cellPercent(share) { return share >= 0.001 || !share ? percent(share) : (share * 100).toPrecision(2) + "%"; }
