// What is shown under the maps. Both classes have the same face: `times` and `numbers` of their pictures, show() to go
// to one, run() and halt() to play, paint() to draw the present one, and `told`, to which they say what happened:
// drawn() a picture arrived, moved(at) playing went on, finished() the last picture of the run is over, failed().

// The frames that the model saw, as JPEGs; without any, the maps stand on a plain ground.
class Stills {
  constructor(data, told) {
    this.times = data.times;
    this.numbers = data.numbers;
    this.images = data.frames.map(text => {
      const image = new Image();
      image.onload = () => told.drawn();
      image.src = "data:image/jpeg;base64," + text;
      return image;
    });
    this.told = told;
    this.at = 0;
    this.timer = 0;
  }

  get empty() { return !this.images.length; }

  show(at) { this.at = at; }

  run(at, end, speed) {
    this.halt();
    const last = this.times.length - 1, usual = last ? (this.times[last] - this.times[0]) / last : 0.5;
    const wait = at < last ? this.times[at + 1] - this.times[at] : usual;
    this.timer = setTimeout(() => {
      if (at >= end) { this.told.finished(); return; }
      this.at = at + 1;
      this.run(at + 1, end, speed);
      this.told.moved(at + 1);
    }, clamp(wait * 1000, 40, 1000) / speed);
  }

  halt() { clearTimeout(this.timer); }

  paint(pen, width, height) { pen.drawImage(this.images[this.at], 0, 0, width, height); }
}

// The copy of the video. Its clock is 0 at its first picture, which the source shows at times[0].
class Film {
  constructor(data, stills, told) {
    this.times = data.copy.times;
    this.numbers = data.copy.numbers;
    this.empty = false;
    this.mp4 = data.copy.mp4;
    this.stills = stills;
    this.told = told;
    this.at = 0;
    this.sought = -1; // the picture that was sought last
    this.end = -1; // the last picture of the run; -1 when it does not play
    this.timer = 0;
    this.picture = document.createElement("canvas"); // the last one that arrived: a video that seeks has none
    this.arrived = false;
    this.video = document.createElement("video");
    this.video.className = "film";
    this.video.playsInline = true;
    this.video.preload = "auto";
    this.video.setAttribute("aria-hidden", "true");
    this.video.tabIndex = -1;
  }

  // Give the video its bytes; what is on the page already is drawn before it.
  load() {
    const {video} = this;
    video.onerror = () => this.fail();
    video.onloadeddata = () => {
      this.sought = -1;
      this.show(this.at);
    };
    video.onseeked = () => this.arrive(video.currentTime);
    video.onended = () => this.finish();
    video.src = URL.createObjectURL(new Blob([bytesOf(this.mp4)], {type: "video/mp4"}));
    this.mp4 = "";
    document.body.append(video);
    this.watch();
    if (this.end >= 0) this.play(); // a quick user
  }

  fail() {
    this.halt();
    this.video.onerror = this.video.onseeked = this.video.onended = this.video.onloadeddata = null;
    this.video.remove();
    this.told.failed();
  }

  get settled() { return this.arrived && !this.video.seeking && this.sought === this.at; }

  // Seeks one at a time: while one is under way, a browser shows no picture.
  show(at) {
    this.at = at;
    if (this.video.readyState < 1 || this.video.seeking || this.sought === at) return;
    this.sought = at;
    const gap = at + 1 < this.times.length ? this.times[at + 1] - this.times[at] : 0.02;
    this.video.currentTime = this.times[at] - this.times[0] + Math.min(gap / 2, 0.01);
  }

  arrive(second) {
    const {video, picture} = this;
    if (video.readyState < 2) return;
    if (picture.width !== video.videoWidth || picture.height !== video.videoHeight) {
      picture.width = video.videoWidth;
      picture.height = video.videoHeight;
    }
    picture.getContext("2d").drawImage(video, 0, 0);
    this.arrived = true;
    if (this.end < 0) {
      if (this.sought === this.at) this.told.drawn(); else this.show(this.at);
      return;
    }
    const at = lastUpTo(this.times, this.times[0] + second + 0.0005);
    this.sought = -1;
    if (at > this.end) { this.finish(); return; }
    this.at = at;
    this.told.moved(at);
    if (at === this.end && at + 1 < this.times.length && !this.timer) {
      this.timer = setTimeout(() => this.finish(), (this.times[at + 1] - this.times[at]) * 1000 / this.video.playbackRate);
    }
  }

  // Call arrive() for every picture that the browser shows while it plays.
  watch() {
    const {video} = this;
    if (video.requestVideoFrameCallback) {
      video.requestVideoFrameCallback((_, shown) => {
        if (!video.seeking && this.end >= 0) this.arrive(shown.mediaTime);
        this.watch();
      });
    } else {
      requestAnimationFrame(() => {
        if (!video.seeking && this.end >= 0) this.arrive(video.currentTime);
        this.watch();
      });
    }
  }

  run(at, end, speed) {
    this.halt();
    this.show(at);
    this.end = end;
    this.video.playbackRate = speed;
    if (!this.mp4) this.play();
  }

  play() { this.video.play().catch(() => { if (this.end >= 0 && this.video.paused) this.told.refused(); }); }

  halt() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.end = -1;
    this.video.pause();
  }

  finish() {
    if (this.end < 0) return;
    this.halt();
    this.told.finished();
  }

  paint(pen, width, height) {
    if (this.arrived) { pen.drawImage(this.picture, 0, 0, width, height); return; }
    this.stills.show(lastUpTo(this.stills.times, this.times[this.at] + 1e-4));
    this.stills.paint(pen, width, height);
  }
}
