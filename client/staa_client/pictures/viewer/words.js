"use strict";
// Small functions without a state: numbers to words, words to numbers, and places in lists.
const byId = id => document.getElementById(id);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// A share, 0 to 1, as layer.py rounds it: less than 1 is never 100%, more than 0 is never 0%.
function percent(share) {
  const tenths = Math.floor(share * 1000 + 0.5);
  if (tenths >= 1000) return share >= 1 ? "100%" : ">99.9%";
  return tenths <= 0 ? (share > 0 ? "<0.1%" : "0%") : (tenths / 10).toFixed(1) + "%";
}

// The start and end of a step in the words of all pictures: "4.50-5.00 s".
function stretch([start, end]) { return start.toFixed(2) + "-" + end.toFixed(2) + " s"; }

// The two cells whose centres are beside each pixel, and how far the pixel is towards the second.
function between(cells, pixels) {
  return Array.from({length: pixels}, (_, i) => {
    const place = clamp((i + 0.5) * cells / pixels - 0.5, 0, cells - 1), before = Math.floor(place);
    return [before, Math.min(before + 1, cells - 1), place - before];
  });
}

// The place of the last of ascending numbers that is at most `value`; 0 if none is.
function lastUpTo(numbers, value) {
  let low = 0, high = numbers.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (numbers[middle] <= value) low = middle; else high = middle - 1;
  }
  return low;
}

function nearest(numbers, value) {
  const before = lastUpTo(numbers, value), after = Math.min(before + 1, numbers.length - 1);
  return Math.abs(numbers[after] - value) < Math.abs(numbers[before] - value) ? after : before;
}

function bytesOf(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// "3.2" and "3.2 s" are seconds, "#38", "f38" and "frame 38" the number of a frame; null is neither.
function parsedMoment(text) {
  const frame = /^\s*(?:#|f|frame)\s*(\d+)\s*$/i.exec(text), second = /^\s*(\d+(?:[.,]\d*)?|[.,]\d+)\s*s?\s*$/i.exec(text);
  if (frame) return {frame: Number(frame[1])};
  return second ? {second: Number(second[1].replace(",", "."))} : null;
}

// The moment, or the span, of a link that ends in #t=3.2 or #t=3.2,4.5; null if it names none.
function parsedLink(hash) {
  const found = /^#t=(\d+(?:\.\d*)?|\.\d+)(?:,(\d+(?:\.\d*)?|\.\d+))?$/.exec(hash);
  return found && {start: Number(found[1]), end: found[2] === undefined ? null : Number(found[2])};
}
