"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const by = (id) => document.getElementById(id);
const boards = all(".board");
const dialog = by("card");

// Choosing and filtering
function choose(name) {
  by("protocol").value = name;
  for (const board of boards) board.hidden = board.dataset.board !== name;
  filter();
}

function filter() {
  const words = by("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const family = by("family").value;
  for (const board of boards) {
    const rows = all("tr.entry", board);
    for (const row of rows) {
      const { text, admissible, control } = row.dataset;
      row.hidden =
        !words.every((word) => text.includes(word)) ||
        (family !== "" && row.dataset.family !== family) ||
        (by("admissible").checked && admissible !== "1") ||
        (!by("controls").checked && control === "1");
    }
    const shown = new Set(rows.filter((row) => !row.hidden).map((row) => row.dataset.link));
    for (const dot of all(".dot[data-link]", board)) dot.classList.toggle("off", !shown.has(dot.dataset.link));
    board.querySelector(".none").hidden = rows.some((row) => !row.hidden);
    if (!board.hidden) by("count").textContent = count(rows.filter((row) => row.dataset.link));
  }
}

const count = (rows) => `${rows.filter((row) => !row.hidden).length} of ${rows.length} defenses`;

// Sorting: what has no value comes last either way
function sort(place, direction) {
  const sign = direction === "descending" ? -1 : 1;
  for (const board of boards) {
    all("thead th[aria-sort]", board).forEach((each, at) => each.setAttribute("aria-sort", at === place ? direction : "none"));
    const body = board.querySelector("tbody");
    const keyed = [...body.rows].map((row) => [row.cells[place].dataset.value, row]);
    const numeric = keyed.every(([value]) => value === "" || Number.isFinite(Number(value)));
    const order = (a, b) => (numeric ? Number(a) - Number(b) : a.localeCompare(b));
    keyed.sort(([a], [b]) => (a === "") - (b === "") || sign * order(a, b));
    body.append(...keyed.map(([, row]) => row));
  }
  by("sort").value = String(place);
}

for (const board of boards) {
  all("thead th[aria-sort]", board).forEach((heading, place) => {
    heading.querySelector("button").addEventListener("click", () => {
      const other = { ascending: "descending", descending: "ascending" };
      sort(place, other[heading.getAttribute("aria-sort")] ?? heading.dataset.first);
    });
  });
}

// A card: the address says which one is open
function found(link) {
  const rows = all("tr.entry[data-link]");
  const shown = (row) => !row.closest(".board").hidden;
  return (
    rows.find((row) => row.dataset.link === link) ??
    rows.find((row) => row.dataset.id === link && shown(row)) ??
    rows.find((row) => row.dataset.id === link)
  );
}

function follow() {
  let link = location.hash.slice(1);
  try { link = decodeURIComponent(link); } catch { /* a stray percent sign names no card */ }
  const row = found(link);
  if (!row) return dialog.close();
  const board = row.closest(".board").dataset.board;
  if (by("protocol").value !== board) choose(board);
  const card = all("template[data-link]").find((each) => each.dataset.link === row.dataset.link);
  by("card-title").textContent = card.dataset.title;
  dialog.querySelector(".full").replaceChildren(card.content.cloneNode(true));
  const focused = document.activeElement;
  if (!dialog.open) {
    if (!focused?.matches(".dot")) row.querySelector("a").focus(); // where closing leads back to
    dialog.showModal();
  }
  dialog.scrollTop = 0;
}

dialog.addEventListener("close", () => {
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
});
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
by("close").addEventListener("click", () => dialog.close());
for (const row of all("tr.entry[data-link]")) {
  row.addEventListener("click", (event) => {
    if (!event.target.closest("a") && !String(getSelection())) row.querySelector("a").click();
  });
}

// The frontier: one stop for Tab, arrows from point to point
for (const figure of all(".frontier")) {
  const dots = all(".dot", figure);
  const tell = (dot) => { figure.querySelector(".pointed").textContent = dot.dataset.said; };
  dots[0].setAttribute("tabindex", "0");
  dots.forEach((dot, place) => {
    dot.addEventListener("mouseenter", () => tell(dot));
    dot.addEventListener("focus", () => tell(dot));
    dot.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      dot.setAttribute("tabindex", "-1");
      const next = dots[(place + step + dots.length) % dots.length];
      next.setAttribute("tabindex", "0");
      next.focus();
    });
  });
}

by("protocol").addEventListener("change", (event) => choose(event.target.value));
for (const id of ["find", "family", "admissible", "controls"]) by(id).addEventListener("input", filter);
by("sort").addEventListener("change", ({ target }) => {
  const heading = all("thead th[aria-sort]")[Number(target.value)];
  sort(Number(target.value), heading.dataset.first);
});
document.querySelector("form.filters").addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", follow);
if (boards.length) choose(boards[0].dataset.board);
if (boards.length) sort(0, "ascending");
if (location.hash) follow();
