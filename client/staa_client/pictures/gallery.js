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
    const value = (tile) => Number(tile.dataset[field]);
    sorted.sort((a, b) => missing(a) - missing(b) || (missing(a) ? 1 : sign) * (value(a) - value(b)));
  }
  list.replaceChildren(...sorted);
}

order.addEventListener("change", sortTiles);
