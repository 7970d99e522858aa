// Start: theme, filters, and the view that the address after # names.

let DATA = null; // the runs; null while compressed data are being unpacked

function stored(value) {
  // a browser may forbid storage to files; the choice then lasts as long as the page
  try {
    if (value === undefined) return localStorage.getItem("clbench-theme");
    localStorage.setItem("clbench-theme", value);
  } catch {
    /* forbidden */
  }
  return null;
}

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  document.getElementById("theme").textContent = `Theme: ${theme}`;
}

const THEMES = ["auto", "light", "dark"];
let theme = THEMES.includes(stored()) ? stored() : "auto";
setTheme(theme);
document.getElementById("theme").addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  setTheme(theme);
  stored(theme);
});

function filterLeaderboard(form) {
  const { text, board, ranked } = form.elements;
  let shown = 0,
    elsewhere = 0,
    all = 0;
  for (const article of document.querySelectorAll(".board")) {
    const table = article.querySelector("table");
    const here = board.value === "" || board.value === article.dataset.board;
    const found = filterRows(table, text.value, row => !ranked.checked || row.dataset.ranked === "1");
    article.hidden = found === 0 || !here;
    if (here) shown += found;
    else elsewhere += found;
    all += table.tBodies[0].rows.length;
  }
  const hidden = elsewhere && text.value ? `; ${elsewhere} that match are on other boards, which the choice hides` : "";
  form.querySelector("output").textContent = `${shown} of ${all} rows${hidden}`;
}

function filterRuns(form) {
  const table = document.getElementById("runs-table");
  form.querySelector("output").textContent =
    `${filterRows(table, form.elements.text.value)} of ${DATA.runs.length} runs`;
}

for (const form of document.querySelectorAll("form.filters")) {
  const filter = form.dataset.for === "runs" ? filterRuns : filterLeaderboard;
  form.addEventListener("input", () => filter(form));
  form.addEventListener("submit", event => event.preventDefault());
  form.apply = () => filter(form);
}

function fillRuns() {
  const place = document.getElementById("runs-table");
  if (place.tBodies.length) return;
  const table = runsTable();
  table.id = place.id;
  place.replaceWith(table);
}

function show() {
  const [name, ...places] = (location.hash.slice(1) || "leaderboard").split("/");
  const numbers = places.map(Number);
  const known = document.querySelector(`section[data-view="${CSS.escape(name)}"]`);
  if (!known) return; // a link to a place inside the page
  if (name === "runs") fillRuns();
  if (name === "run") known.replaceChildren(...runView(numbers[0] ?? 0));
  if (name === "compare") {
    const first = numbers[0] ?? DATA.boards[0]?.rows[0]?.[0] ?? 0;
    known.replaceChildren(...compareView(first, numbers[1] ?? DATA.boards[0]?.rows[1]?.[0] ?? partnerOf(first)));
  }
  for (const section of document.querySelectorAll("section[data-view]")) section.hidden = section !== known;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name === "run" ? "runs" : name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  known.querySelector("form.filters")?.apply();
  if (name === "run" || name === "compare") scrollTo(0, 0);
}

// Data of many runs are gzip in base64; the browser unpacks them without a network.
async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function start(text) {
  DATA = JSON.parse(text);
  for (const place of document.querySelectorAll("[data-charts]"))
    place.append(...boardCharts(DATA.boards[place.dataset.charts]));
  addEventListener("hashchange", show);
  show();
}

for (const table of document.querySelectorAll(".board table")) makeSortable(table);
const given = document.getElementById("data");
if (given.type === "application/json") start(given.textContent);
else if (typeof DecompressionStream === "function") unpacked(given.textContent).then(start);
else
  document
    .getElementById("main")
    .prepend(
      warning(
        "This browser cannot unpack the runs of a large report, so only the leaderboard is shown; " +
          "open it in Chrome 80, Firefox 113, Safari 16.4 or newer.",
      ),
    );
