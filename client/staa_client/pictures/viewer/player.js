// The moment that is shown, how it moves on, and which frames the model saw; `changed` is called after each move. Where
// maps are of other frames, those that any of the models saw are marked, and `map.seen` has the places of its own.
class Player {
  constructor(data, changed) {
    this.data = data;
    this.changed = changed;
    this.playing = false;
    this.speed = 1;
    this.loop = "clip"; // or "step" or "span"
    this.seconds = data.maps[0].seconds;
    const steps = data.maps.flatMap(map => map.seconds);
    this.span = [Math.min(...steps.map(s => s[0])), Math.max(...steps.map(s => s[1]))];
    this.whole = this.span;
    this.looped = 0; // the step of the loop
    this.once = matchMedia("(prefers-reduced-motion: reduce)");
    const told = {
      drawn: () => this.changed(),
      moved: at => { this.at = at; this.changed(); },
      finished: () => this.finish(),
      refused: () => this.pause(),
      failed: () => this.fallBack(),
    };
    this.stills = this.pictures = new Stills(data, told);
    this.at = data.start;
    if (data.copy) {
      this.pictures = new Film(data, this.stills, told);
      this.at = nearest(this.pictures.times, data.times[data.start]);
    }
    this.mark();
    this.pictures.show(this.at);
  }

  // For each picture which of the frames that the model saw it is, -1 if none; where one repeats, the first of them.
  // All of them are in the copy; a picture at another time is none of them.
  mark() {
    const {times} = this.pictures;
    this.sampled = this.pictures === this.stills ? times.map((_, i) => i) : times.map(() => -1);
    if (this.pictures === this.stills) return;
    this.data.times.forEach((time, i) => {
      const at = nearest(times, time);
      if (this.sampled[at] < 0 && Math.abs(times[at] - time) < 0.0015) this.sampled[at] = i;
    });
  }

  get last() { return this.pictures.times.length - 1; }
  get second() { return this.pictures.times[this.at]; }
  get smooth() { return this.pictures !== this.stills; } // whether maps are mixed between the middles of their steps

  stepOf(map) {
    if (!this.smooth) return map.steps[this.at];
    return this.sampled[this.at] >= 0 ? map.steps[this.sampled[this.at]] : stepAt(map, this.second);
  }

  get now() { return this.second.toFixed(2) + " s, frame " + this.pictures.numbers[this.at]; }

  get seen() {
    const at = this.sampled[this.at];
    if (at < 0) return "not seen by the model";
    const {maps, times} = this.data;
    if (maps.every(map => !map.seen)) return "seen by the model, " + (at + 1) + " of " + times.length;
    return "seen by the model of " + maps.flatMap(({seen}, i) => !seen || seen.includes(at) ? ["map " + (i + 1)] : []).join(" and ");
  }

  // The first and the last picture of the loop; at least one.
  get bounds() {
    if (this.loop === "clip") return [0, this.last];
    const [start, end] = this.loop === "step" ? this.seconds[this.looped] : this.span, {times} = this.pictures;
    const first = times.findIndex(time => time >= start - 1e-4);
    if (first < 0) return [this.last, this.last];
    return [first, Math.max(first, lastUpTo(times, end - 1e-4))];
  }

  seek(to) {
    this.at = clamp(to, 0, this.last);
    this.looped = this.stepOf(this.data.maps[0]);
    if (this.playing) this.run(); else this.pictures.show(this.at);
    this.changed();
  }

  seekSecond(second) { this.seek(nearest(this.pictures.times, second)); }

  // Go to a frame by its number in the source, or to the nearest one that is shown.
  seekNumber(number) {
    const place = this.data.numbers.indexOf(number), at = place < 0 ? -1 : this.sampled.indexOf(place);
    this.seek(at >= 0 ? at : nearest(this.pictures.numbers, number));
  }

  play() {
    const [first, last] = this.bounds;
    if (this.at >= last || this.at < first) this.at = first;
    this.playing = true;
    this.run();
    this.changed();
  }

  // The end of the loop is behind the present picture, or it is left: then playing goes on to the end of the clip.
  run() {
    const last = this.bounds[1];
    this.pictures.run(this.at, this.at <= last ? last : this.last, this.speed);
  }

  pause() {
    this.playing = false;
    this.pictures.halt();
    this.pictures.show(this.at);
    this.changed();
  }

  finish() {
    if (!this.playing) return;
    if (this.once.matches && this.loop === "clip") { this.pause(); return; } // reduced motion: no loop
    this.at = this.bounds[0];
    this.run();
    this.changed();
  }

  setSpeed(speed) {
    this.speed = speed;
    if (this.playing) this.run();
  }

  setLoop(loop, span) {
    this.loop = loop;
    if (span) this.span = [clamp(Math.min(...span), ...this.whole), clamp(Math.max(...span), ...this.whole)];
    this.looped = this.stepOf(this.data.maps[0]);
    if (this.playing) this.play(); else this.changed();
  }

  fallBack() {
    const {second} = this, was = this.playing;
    this.playing = false;
    this.pictures = this.stills;
    this.at = nearest(this.stills.times, second);
    this.mark();
    this.stills.show(this.at);
    byId("problem").textContent = "This browser cannot play the copy of the video: the frames that the model saw are shown.";
    byId("problem").hidden = false;
    byId("sounds").hidden = true;
    if (was) this.play(); else this.changed();
  }

  // The moments of the peaks of all maps: steps above the even share, and not below the steps beside them.
  get peaks() {
    const moments = this.data.maps.flatMap(({temporal, seconds, steps}) => temporal.flatMap((share, i) => {
      const beside = Math.max(temporal[i - 1] ?? 0, temporal[i + 1] ?? 0), first = steps.indexOf(i);
      if (share * temporal.length <= 1.0001 || share < beside || share === temporal[i - 1]) return [];
      return [first >= 0 ? this.data.times[first] : (seconds[i][0] + seconds[i][1]) / 2];
    }));
    return [...new Set(moments.map(second => nearest(this.pictures.times, second)))].sort((a, b) => a - b);
  }
}

// The step of a map that holds a second.
function stepAt(map, second) { return lastUpTo(map.seconds.map(step => step[0]), second + 1e-4); }
