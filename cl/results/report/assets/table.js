// Tables that sort by a click on a head and filter by words. Rows that have no value stay last, either way.

function cellValue(row, column) {
  const cell = row.cells[column];
  return cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v;
}

function compareCells(a, b) {
  const x = Number(a),
    y = Number(b);
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
}

function sortBy(table, head) {
  const column = head.cellIndex;
  const before = head.getAttribute("aria-sort");
  const numeric = head.classList.contains("number");
  const first = numeric && column > 0 ? "descending" : "ascending";
  const second = first === "ascending" ? "descending" : "ascending";
  const order = before === first ? second : first;
  for (const other of head.parentElement.cells)
    if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const body = table.tBodies[0];
  const keyed = Array.from(body.rows, row => [cellValue(row, column), row]);
  keyed.sort(([a], [b]) => (a === "") - (b === "") || (a === "" ? 0 : sign * compareCells(a, b)));
  body.append(...keyed.map(([, row]) => row));
}

function makeSortable(table) {
  table.addEventListener("click", event => {
    const head = event.target.closest("thead th[aria-sort]");
    if (head) sortBy(table, head);
  });
}

// Shows the rows that hold every word of the filter; returns how many.
function filterRows(table, text, keep = () => true) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    row.words ??= row.textContent.toLowerCase();
    row.hidden = !(keep(row) && words.every(word => row.words.includes(word)));
    shown += !row.hidden;
  }
  return shown;
}

// `el("td", {class: "number"}, "12")`: an element with attributes and children; strings become text, never markup.
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes))
    if (value !== null && value !== undefined) made.setAttribute(key, value);
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

const NARROW = matchMedia("screen and (max-width: 40rem)"); // as in report.css

// A name, on a narrow screen in parts between which it may be broken.
function breakable(name) {
  if (!NARROW.matches) return [name];
  const parts = name.match(/[^_./:]+[_./:]*|[_./:]+/g) ?? [];
  return parts.flatMap((part, index) => (index ? [el("wbr"), part] : [part]));
}

// A table from heads and rows; a cell is text, a node, or {v: sort value, text, class}. On a narrow screen the rows of a
// stacked one are blocks, in which the names --c1, --c2, ... stand beside the values.
function tableOf(heads, rows, { caption = null, sortable = false, stacked = false } = {}) {
  const cell = (content, index) => {
    const plain = typeof content !== "object" || content === null || content instanceof Node;
    const given = plain ? { text: content } : content;
    const numeric = heads[index].number ? "number" : "text";
    return el(
      index ? "td" : "th",
      { class: `${numeric} ${given.class ?? ""}`.trim(), "data-v": given.v, scope: index ? null : "row" },
      ...(index === 0 && typeof given.text === "string" ? breakable(given.text) : [given.text ?? ""]),
    );
  };
  const head = each =>
    sortable
      ? el(
          "th",
          { scope: "col", class: each.number ? "number" : "text", "aria-sort": "none" },
          el("button", { type: "button", title: each.hint }, each.name),
        )
      : el("th", { scope: "col", class: each.number ? "number" : "text", title: each.hint }, ...breakable(each.name));
  const table = el(
    "table",
    {
      class: `${sortable ? "sortable" : "plain"}${stacked ? " stacked" : ""}`,
      style: stacked ? heads.map(({ name }, index) => `--c${index + 1}:${JSON.stringify(name)}`).join(";") : null,
    },
    caption === null ? null : el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ...heads.map(head))),
    el("tbody", {}, ...rows.map(row => el("tr", {}, ...row.map(cell)))),
  );
  if (sortable) makeSortable(table);
  return table;
}
