// Charts as inline SVG, drawn from numbers. Colours are the page's variables, so both themes and print need no redrawing.

const SHOWN_IN_COLOUR = 8;
// Of a chart on a narrow screen so many pixels are shown: up to the numbers of the rows, which a list below names.
const PLOT = 436;

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// About `count` round numbers that cover [low, high].
function ticks(low, high, count = 5) {
  const rough = (high - low) / count || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find(factor => factor * unit >= rough) * unit;
  const found = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-9; value += step)
    found.push(Number(value.toPrecision(12)));
  return found;
}

// Places for labels: in order, at least `gap` apart, within [low, high] where they fit.
function spread(values, gap, low, high) {
  const order = values.map((_, index) => index).sort((a, b) => values[a] - values[b]);
  const places = [];
  let edge = low;
  for (const index of order) edge = (places[index] = Math.max(values[index], edge)) + gap;
  edge = high;
  for (const index of order.reverse()) edge = (places[index] = Math.min(places[index], edge)) - gap;
  return places;
}

// Where data stand in a chart: scales that take numbers to pixels, and the ticks of x.
function frameOf(drawn, kind, log) {
  const [left, top, width] = [46, 10, 360];
  const height = Math.max(230, Math.min(drawn.length, SHOWN_IN_COLOUR) * 17);
  const place = log ? Math.log10 : value => value;
  const xs = drawn.flatMap(each => each.points.map(([x]) => place(x)));
  const ys = drawn.flatMap(each => each.points.map(([, y]) => y));
  const padded = (values, share) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const pad = (high - low) * share || 0.5;
    return [low - pad, high + pad];
  };
  const [x0, x1] = padded(xs, 0.04);
  const [y0, y1] = padded(ys, 0.06);
  const steps = log
    ? logTicks(x0, x1)
    : ticks(x0, x1, 8).filter(value => kind === "scatter" || Number.isInteger(value));
  return {
    ...{ left, top, width, height, right: left + width, bottom: top + height, xTicks: steps, yTicks: ticks(y0, y1) },
    X: value => left + (width * (place(value) - x0)) / (x1 - x0),
    Y: value => top + height * (1 - (value - y0) / (y1 - y0)),
  };
}

function axes({ left, top, right, bottom, width, height, xTicks, yTicks, X, Y }, xlabel, ylabel) {
  const words = (text, { class: kind = "", ...attributes }) =>
    svg("text", { class: `muted ${kind}`.trim(), "text-anchor": "middle", ...attributes }, text);
  return [
    ...yTicks.map(value => svg("line", { class: "grid", x1: left, x2: right, y1: Y(value), y2: Y(value) })),
    ...yTicks.map(value => words(String(value), { class: "ytick", x: left - 6, y: Y(value) + 4, "text-anchor": "end" })),
    ...xTicks.map(value => words(String(value), { x: X(value), y: bottom + 16 })),
    svg("path", { class: "axis", d: `M${left},${top}V${bottom}H${right}` }),
    words(xlabel, { x: left + width / 2, y: bottom + 34 }),
    words(ylabel, { class: "ylabel", transform: `translate(12,${top + height / 2}) rotate(-90)` }),
  ];
}

// Pixels that a text takes in a chart, in the font that the style sheet gives it.
const pen = document.createElement("canvas").getContext("2d");
pen.font = '12px system-ui, "DejaVu Sans", sans-serif';
const widthOf = text => pen.measureText(text).width;
const endText = ({ label, points }) => `${label}  ${points.at(-1)[1].toFixed(1)}`;

// Names and last values in a column right of the chart, led to by thin lines; on a narrow screen their numbers.
function endLabels(labelled, { top, right, bottom, X, Y }, colour) {
  const ends = labelled.map(each => each.points.at(-1));
  const heights = ends.map(([, y]) => Y(y));
  const places = spread(heights, 16, top + 6, bottom - 4);
  return labelled.flatMap((each, index) => {
    const [x, y] = ends[index];
    const line = { x1: X(x) + 4, y1: Y(y), x2: right + 12, y2: places[index] };
    const text = { x: right + 16, y: places[index] + 4, style: `fill:${colour(index)}` };
    return [
      svg("line", { ...line, style: `stroke:${colour(index)};opacity:.5` }),
      svg("text", { ...text, class: "name" }, endText(each)),
      svg("text", { ...text, class: "key" }, String(index + 1)),
    ];
  });
}

const legend = (labelled, colour) =>
  el("ol", { class: "legend" }, ...labelled.map((each, index) => el("li", { style: `--mark:${colour(index)}` }, endText(each))));

// series: [{label, points: [[x, y or null], ...], muted}], the first ones in colour and labelled at their ends.
// kind "line" joins the points, "scatter" draws the Pareto front of [cost, value] instead. Null where nothing is known.
function chart({ series, xlabel, ylabel, title, kind = "line", log = false }) {
  const usable = ([x, y]) => x !== null && y !== null && !(log && x <= 0);
  const drawn = series
    .map(each => ({ ...each, points: each.points.filter(usable) }))
    .filter(each => each.points.length);
  if (!drawn.length) return null;
  const labelled = drawn.slice(0, SHOWN_IN_COLOUR);
  const frame = frameOf(drawn, kind, log);
  const colour = index => {
    if (index >= SHOWN_IN_COLOUR) return "var(--faint)";
    return drawn[index].muted ? "var(--muted)" : `var(--s${index})`;
  };
  const longest = Math.max(...labelled.map(each => widthOf(endText(each))));
  const [width, height] = [frame.right + 24 + longest, frame.bottom + 40];
  const marks = drawn.map((each, index) => mark(each, kind, frame, colour(index))).reverse(); // the first on top
  const root = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": title },
    ...axes(frame, xlabel, ylabel),
    ...(kind === "scatter" ? [front(drawn, frame)] : []),
    ...marks,
    ...endLabels(labelled, frame, colour),
  );
  const more = drawn.length - labelled.length;
  const remark = more > 0 ? ` (the first ${labelled.length} rows in colour, ${more} more in grey)` : "";
  const plot = el("div", { class: "plot", style: `--width:${PLOT}px;--ratio:${PLOT}/${height}` }, root);
  return el("figure", {}, el("figcaption", {}, title + remark), plot, legend(labelled, colour));
}

function logTicks(x0, x1) {
  const found = [];
  for (let power = Math.floor(x0); power <= x1; power++)
    for (const factor of x1 - x0 > 2.5 ? [1] : [1, 2, 5]) found.push(Number((factor * 10 ** power).toPrecision(6)));
  return found.filter(value => Math.log10(value) >= x0 && Math.log10(value) <= x1);
}

function mark({ label, points, muted }, kind, { X, Y }, colour) {
  const places = points.map(([x, y]) => [X(x).toFixed(1), Y(y).toFixed(1)]);
  const style = `stroke:${colour};fill:${muted ? "var(--paper)" : colour}`;
  const circles = places.map(([cx, cy]) => svg("circle", { cx, cy, r: kind === "line" ? 2.6 : 5, style }));
  const joined = { points: places.map(String).join(" "), style: `stroke:${colour};fill:none;stroke-width:2` };
  const line = kind === "line" && places.length > 1 ? [svg("polyline", joined)] : [];
  return svg("g", {}, svg("title", {}, label), ...line, ...circles);
}

// The step line through what no other point beats: cheaper, or better at the same cost. Bounds are left out.
function front(drawn, { X, Y }) {
  const points = drawn
    .filter(each => !each.muted)
    .map(each => each.points[0])
    .sort((a, b) => a[0] - b[0] || b[1] - a[1]);
  let best = -Infinity,
    path = "";
  for (const [x, y] of points) {
    if (y <= best) continue;
    path += path ? `H${X(x).toFixed(1)}V${Y(y).toFixed(1)}` : `M${X(x).toFixed(1)},${Y(y).toFixed(1)}`;
    best = y;
  }
  return svg("path", { d: path, style: "stroke:var(--muted);fill:none;stroke-dasharray:4 3" });
}

// How a matrix is shown on a narrow screen: as it is, in whole numbers, or in colours only.
const crowdOf = columns => (columns > 14 ? "crowded" : columns > 7 ? "whole" : "");
const head = (words, scope) => el("th", { scope }, el("span", {}, words));
const matrixOf = (kind, caption, heads, rows) =>
  el(
    "table",
    { class: `matrix ${kind}`.trim() },
    el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ...heads)),
    el("tbody", {}, ...rows),
  );

// A matrix that on a narrow screen says below what the touched cell is: hints need a pointer.
function touchable(table, label) {
  const region = scrolled(table, label);
  if (!table.matches(".matrix")) return region;
  const said = el("p", { class: "touched", "aria-live": "polite" }, "Touch a cell to read its number.");
  table.addEventListener("click", event => {
    const cell = event.target.closest("td[title]");
    if (cell) said.textContent = cell.title;
  });
  region.append(said);
  return region;
}

// Accuracy after every step on every group; more than 20 columns show colours only, with the number as a hint.
function heatMap(run, stream, rule) {
  const { correct, forgetting } = run.rules[rule];
  const dense = stream.groups.length > 20;
  const cell = (counts, step, [name], group) => {
    if (counts[group] == null || !stream.count[group]) return el("td");
    const value = (100 * counts[group]) / stream.count[group];
    const ink = value > 68 ? "paper" : value > 40 ? "middle" : "ink";
    const style = `background:color-mix(in oklab, var(--high) ${value.toFixed(0)}%, var(--low));color:var(--${ink})`;
    const title = `${name} after task ${run.steps[step]}: ${value.toFixed(2)} %`;
    return el("td", { style, title, "data-whole": Math.round(value) }, dense ? "" : value.toFixed(1));
  };
  const rows = correct.map((counts, step) => {
    const cells = stream.groups.map((group, index) => cell(counts, step, group, index));
    return el("tr", {}, head(String(run.steps[step]), "row"), ...cells);
  });
  const lost = forgetting.map((value, index) => {
    if (value === null) return el("td");
    const title = `forgetting of ${stream.groups[index][0]}: ${(100 * value).toFixed(2)} %`;
    return el("td", { title, "data-whole": Math.round(100 * value) }, (100 * value).toFixed(1));
  });
  const table = matrixOf(
    dense ? "dense" : crowdOf(stream.groups.length),
    `Accuracy after every task (rows) on every group (columns), %, rule ${rule}`,
    [head("task", "col"), ...stream.groups.map(([name]) => head(name, "col"))],
    [...rows, el("tr", { class: "lost" }, head("forgetting", "row"), ...lost)],
  );
  return touchable(table, `Accuracy matrix, ${rule}`);
}
