"use strict";
// Sorts the videos of the gallery; of equal ones the order given stays.
const list = document.getElementById("tiles");
const order = document.getElementById("order");
const given = Array.from(list.children);

function sortTiles() {
  const [field, way] = order.value.split("-");
  const sorted = given.slice();
  if (field !== "given") {
    const sign = way === "up" ? 1 : -1;
    // a video without an answer, or without a verdict, comes last both ways
    const missing = (tile) => (field === "score" ? Number(tile.dataset.score) < 0 : Number(tile.dataset.verdict) > 3);
    sorted.sort((a, b) => missing(a) - missing(b) || sign * (Number(a.dataset[field]) - Number(b.dataset[field])));
  }
  list.replaceChildren(...sorted);
}

order.addEventListener("change", sortTiles);
