// Puts the parts together: one player, its controls, and a view and a curve for each map.
function openViewer(data) {
  const play = byId("play"), shown = byId("shown"), opacity = byId("opacity"), focus = byId("focus"), dynamic = byId("dynamic");
  const colours = byId("colours"), speed = byId("speed"), loop = byId("loop"), go = byId("go"), from = byId("from"), to = byId("to");
  const player = new Player(data, () => draw());
  const elements = [...document.querySelectorAll(".map")], lanes = [...document.querySelectorAll(".lane")];
  const views = data.maps.map((map, i) => new MapView(data, map, elements[i]));
  const curves = data.maps.map((map, i) => new Curve(map, elements[i], player));
  const ground = document.createElement("canvas"); // the picture of the moment, which all maps are drawn over
  ground.width = views[0].view.width;
  ground.height = views[0].view.height;
  let theme = {}, said = "", linked = 0;

  function readTheme() {
    const style = getComputedStyle(document.documentElement);
    theme = Object.fromEntries(["ground", "bar", "accent", "ink", "soft"].map(name => [name, style.getPropertyValue("--" + name).trim()]));
  }

  function look() {
    const covers = !player.stills.empty;
    const cut = dynamic.ariaPressed === "true" ? null : focus.value / 100;
    views.forEach(view => view.setLook({opacity: Number(opacity.value), cut, colours: colours.value, covers}));
    draw();
  }

  function draw() {
    const covers = !player.stills.empty;
    if (covers) player.pictures.paint(ground.getContext("2d"), ground.width, ground.height);
    for (const view of views) view.draw(player, covers ? ground : null, shown.checked);
    for (const curve of curves) curve.draw(theme);
    byId("now").textContent = player.now;
    byId("seen").textContent = (player.sampled[player.at] < 0 ? "\u25cb " : "\u25cf ") + player.seen;
    play.textContent = player.playing ? "Pause" : "Play";
    lanes.forEach(lane => lane.style.setProperty("--now", laneShare(player.second) * 100 + "%"));
    tellLoop();
    const words = player.playing ? data.maps.map(map => player.stepOf(map)).join() : ""; // not thirty times a second
    if (words && words === said) return;
    said = words;
    for (const curve of curves) curve.say();
  }

  function tellLoop() {
    loop.value = player.loop;
    byId("span").hidden = player.loop !== "span";
    for (const [field, second] of [[from, player.span[0]], [to, player.span[1]]]) {
      if (document.activeElement !== field) field.value = +second.toFixed(2);
    }
  }

  // Give the pictures the height that is left when all above them and the curves are in sight, but enough to be seen.
  function fit() {
    const above = Math.max(...curves.map(({curve}, i) =>
      curve.getBoundingClientRect().bottom - elements[0].parentElement.getBoundingClientRect().top - views[i].view.clientHeight));
    const top = elements[0].parentElement.getBoundingClientRect().top + scrollY;
    const left = Math.floor(innerHeight - top - above - 8), narrow = innerWidth <= 860; // one column: it is scrolled
    const tall = narrow ? Math.max(left, innerHeight * 0.56) : Math.max(left, 150);
    elements[0].parentElement.style.setProperty("--tall", tall + "px");
    draw();
  }

  // Where a second is on the lanes of the labels, 0 to 1; they are as wide as the bars of the curve.
  function laneShare(second) { return clamp((second - curves[0].first) / (curves[0].last - curves[0].first), 0, 1); }

  function placeSpans() {
    for (const span of document.querySelectorAll(".lane i")) {
      const [start, end] = [laneShare(span.dataset.start), laneShare(span.dataset.end)];
      span.style.left = start * 100 + "%";
      span.style.width = (end - start) * 100 + "%";
    }
    for (const lane of lanes) lane.onpointerdown = event => {
      const box = lane.getBoundingClientRect(), share = (event.clientX - box.left) / box.width;
      byUser(() => player.seekSecond(curves[0].first + share * (curves[0].last - curves[0].first)));
    };
  }

  // Do what a user asked for; then the address bar names the moment.
  function byUser(act) { act(); link(); }

  function link() {
    clearTimeout(linked);
    linked = setTimeout(() => {
      if (player.playing) return;
      const end = player.loop === "span" ? "," + +player.span[1].toFixed(2) : "";
      const start = player.loop === "span" ? player.span[0] : player.second;
      try { history.replaceState(null, "", "#t=" + +start.toFixed(2) + end); } catch { /* a page without an address */ }
    }, 300);
  }

  function follow() {
    const link = parsedLink(location.hash);
    if (!link) return;
    if (link.end !== null) player.setLoop("span", [link.start, link.end]);
    player.seekSecond(link.start);
  }

  function goTo() {
    const moment = parsedMoment(go.value);
    go.setCustomValidity(moment ? "" : "Type seconds, such as 3.2, or # and the number of a frame, such as #38.");
    if (!moment) { go.reportValidity(); return; }
    byUser(() => moment.frame === undefined ? player.seekSecond(moment.second) : player.seekNumber(moment.frame));
    go.value = "";
  }

  function toPeak(forward) {
    const found = forward ? player.peaks.find(at => at > player.at) : player.peaks.findLast(at => at < player.at);
    if (found !== undefined) byUser(() => player.seek(found));
  }

  play.onclick = () => byUser(() => player.playing ? player.pause() : player.play());
  byId("frame_back").onclick = () => byUser(() => { player.pause(); player.seek(player.at - 1); });
  byId("frame_on").onclick = () => byUser(() => { player.pause(); player.seek(player.at + 1); });
  byId("peak_back").onclick = () => toPeak(false);
  byId("peak_on").onclick = () => toPeak(true);
  for (const id of ["peak_back", "peak_on"]) byId(id).disabled = !player.peaks.length;
  go.onkeydown = event => { if (event.key === "Enter") goTo(); };
  go.oninput = () => go.setCustomValidity("");
  speed.onchange = () => player.setSpeed(Number(speed.value));
  loop.onchange = () => player.setLoop(loop.value);
  from.onchange = to.onchange = () => byUser(() => player.setLoop("span", [Number(from.value), Number(to.value)]));
  byId("sound").onchange = () => { player.pictures.video.muted = !byId("sound").checked; };
  document.addEventListener("pointerup", event => { if (event.target.closest(".curve")) link(); });
  // Arrow keys move through the frames where nothing else takes them.
  addEventListener("keydown", event => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest && event.target.closest(".curve")) { link(); return; }
    const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (by && event.target === document.body) { event.preventDefault(); byUser(() => player.seek(player.at + by)); }
  });
  function press(on) { dynamic.ariaPressed = String(on); look(); }
  opacity.oninput = colours.onchange = look;
  shown.onchange = () => { draw(); };
  focus.oninput = () => press(false);
  dynamic.onclick = () => press(dynamic.ariaPressed !== "true");
  for (const view of views) view.pointTo = pointer => {
    for (const each of views) each.pointer = pointer;
    draw();
  };
  addEventListener("resize", fit);
  addEventListener("hashchange", follow);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readTheme(); draw(); });
  opacity.disabled = player.stills.empty;
  readTheme();
  placeSpans();
  look();
  fit();
  follow();
  if (player.smooth) requestAnimationFrame(() => setTimeout(() => player.pictures.load())); // the page is there first
  return player;
}

const viewer = openViewer(JSON.parse(byId("data").textContent));
