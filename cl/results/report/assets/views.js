// Words and numbers of runs, the list of all runs, the charts of a board, and the view of one run.

const percent = value => (value === null || value === undefined ? "–" : (100 * value).toFixed(2));
const sortable = (value, text) => ({ v: value ?? "", text });
const compact = (value, digits = 4) =>
  value === null || value === undefined
    ? "–"
    : Number(value.toPrecision(digits)).toLocaleString("en", { maximumSignificantDigits: digits });
// Who is not told the task answers the same when it is: til_masked stands in for a missing til_oracle.
const answerOf = (run, rule) => run.rules[rule] ?? (rule === "til_oracle" ? run.rules.til_masked : undefined);
const metricOf = (run, name, rule = run.rule) =>
  answerOf(run, rule)?.metrics[DATA.metrics.findIndex(([id]) => id === name)] ?? null;
const seedOf = run => (new Set(run.seeds).size === 1 ? String(run.seeds[0]) : run.seeds.join("/"));
const nameOf = run => `${run.label}, seed ${seedOf(run)}`;
const note = words => el("p", { class: "note" }, words);
const warning = words => el("p", { class: "warn" }, words);
const tflop = run => (run.flops.uncached === null ? null : run.flops.uncached / 1e12);
const scaled = value => (value === null || value === undefined ? null : 100 * value);
const curveOf = (run, rule) => run.steps.map((step, place) => [step, scaled(answerOf(run, rule).curve[place])]);
// A row of counts ends at its last number: a gap before it is a group that was learned and not tested then.
const testedPartly = (run, rule) => answerOf(run, rule)?.correct.some(row => row.includes(null)) ?? false;
const accuracyChart = (series, partly, title = "Accuracy against tasks") =>
  chart({
    series,
    xlabel: "tasks learned",
    ylabel: `accuracy on ${partly ? "the images tested then" : "all images seen"}, %`,
    title,
  });
const shortValue = value => (typeof value === "string" ? value : JSON.stringify(value));
const cards = (...items) =>
  el(
    "div",
    { class: "cards" },
    ...items.filter(Boolean).map(item => (item.tagName === "TABLE" ? scrolled(item, item.caption?.textContent) : item)),
  );
const scrolled = (table, label) =>
  el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);

function remarksOf(run) {
  const remarks = [...run.marks];
  if (run.status !== "complete") remarks.push(run.status);
  if (run.limited) remarks.push("limited");
  if (run.access === "past") remarks.push("bound");
  return remarks.join(", ");
}

function runsTable() {
  const heads = [
    { name: "run" },
    { name: "stream" },
    { name: "backbone" },
    { name: "seed", number: true },
    { name: "A_last_sample", number: true },
    { name: "A_inc_sample", number: true },
    { name: "F_chaudhry", number: true },
    { name: "TFLOP", number: true, hint: "as if nothing had been memoised" },
    { name: "train s", number: true },
    { name: "started" },
    { name: "remarks" },
  ];
  const rows = DATA.runs.map((run, index) => {
    const values = ["A_last_sample", "A_inc_sample", "F_chaudhry"].map(name => metricOf(run, name));
    return [
      el("a", { href: `#run/${index}` }, run.label),
      DATA.streams[run.stream].label,
      DATA.backbones[run.backbone].name,
      sortable(run.seeds[0], seedOf(run)),
      ...values.map(value => sortable(value, percent(value))),
      sortable(tflop(run), compact(tflop(run))),
      sortable(run.seconds.train, compact(run.seconds.train)),
      { text: run.created.slice(0, 16).replace("T", " "), class: "nowrap" },
      remarksOf(run),
    ];
  });
  return tableOf(heads, rows, { sortable: true, stacked: true });
}

function meanOf(values) {
  if (values.some(value => value === null || value === undefined)) return null;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function boardCharts(board) {
  const rows = board.rows.map(indices => indices.map(index => DATA.runs[index]));
  const series = [];
  const costs = [];
  for (const runs of rows.filter(runs => runs.every(run => answerOf(run, board.rule)))) {
    const { label, access, marks, limited, steps } = runs[0];
    const row = { label, muted: access === "past" || marks.length > 0 || limited };
    const curve = steps.map((_, place) => scaled(meanOf(runs.map(run => answerOf(run, board.rule).curve[place]))));
    series.push({ ...row, points: steps.map((step, place) => [step, curve[place]]) });
    costs.push({ ...row, points: [[meanOf(runs.map(tflop)), curve.at(-1) ?? null]] });
  }
  const known = costs.map(({ points: [[cost]] }) => cost).filter(cost => cost > 0);
  const pareto = chart({
    series: costs,
    xlabel: "compute, TFLOP (nothing memoised)",
    ylabel: "last accuracy, %",
    title: "Accuracy against compute, with the Pareto front",
    kind: "scatter",
    log: Math.max(...known) > 20 * Math.min(...known),
  });
  const partly = rows.some(([run]) => answerOf(run, board.rule) && testedPartly(run, board.rule));
  return [accuracyChart(series, partly), pareto].filter(Boolean);
}

function facts(caption, pairs) {
  return tableOf(
    [{ name: "" }, { name: "" }],
    pairs.map(([name, value]) => [name, value === null || value === undefined || value === "" ? "–" : value]),
    { caption },
  );
}

function costTable(run) {
  const mb = value => (value === null || value === undefined ? "–" : `${compact(value / 1e6)} MB`);
  const seconds = Object.entries(run.seconds).map(([name, value]) => [`seconds, ${name}`, compact(value)]);
  return facts("Cost", [
    ...seconds,
    ["TFLOP executed", compact(run.flops.executed === null ? null : run.flops.executed / 1e12)],
    ["TFLOP, nothing memoised", compact(tflop(run))],
    ["peak memory, process", mb(run.memory.peak_rss)],
    ["peak memory, device", run.memory.peak_device ? mb(run.memory.peak_device) : "–"],
    ["parameters", compact(run.parameters.total, 9)],
    ["parameters trained", compact(run.parameters.trainable, 9)],
    ...Object.entries(run.stored).map(([name, value]) => [`stored between tasks, ${name}`, mb(value)]),
    ...(run.kept ? [["stored after every task", run.kept.map(mb).join(", ")]] : []),
    ...(run.probe
      ? [[`probe ${run.probe[0]}, before the first and after every task`, run.probe[1].map(percent).join(", ")]]
      : []),
  ]);
}

function flattened(value, prefix = "") {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [[prefix, shortValue(value)]];
  return Object.entries(value).flatMap(([key, inner]) => flattened(inner, prefix ? `${prefix}.${key}` : key));
}

function metricsTable(run) {
  const rules = Object.keys(run.rules);
  const rows = DATA.metrics.map(([id, title, , unit], index) => [
    el("code", { title }, ...breakable(unit ? `${id} (${unit})` : id)),
    ...rules.map(rule => (unit ? compact : percent)(run.rules[rule].metrics[index])),
  ]);
  const known = rows.filter((_, index) =>
    rules.some(rule => run.rules[rule].metrics[index] !== null && run.rules[rule].metrics[index] !== undefined),
  );
  return tableOf([{ name: "metric, %" }, ...rules.map(name => ({ name, number: true }))], known, {
    caption: "Metrics",
    stacked: rules.length > 3, // more numbers do not fit beside each other on a phone
  });
}

const shareOf = (part, whole) => (whole ? part / whole : null);

// Precision, recall and F1 of every class after the last task.
function classesTable(run) {
  const heads = [{ name: "class" }, ...["images", "precision", "recall", "F1"].map(name => ({ name, number: true }))];
  const rows = run.classes
    .filter(([, images]) => images)
    .map(([name, images, right, answered]) => {
      const values = [shareOf(right, answered), shareOf(right, images), shareOf(2 * right, images + answered)];
      return [name, sortable(images, String(images)), ...values.map(value => sortable(value, percent(value)))];
    });
  return tableOf(heads, rows, { sortable: true, caption: `Classes after the last task, %, rule ${run.rule}` });
}

// Images by class (rows) and answer (columns); of many classes the most frequent mistakes.
function answersTable(run) {
  const names = run.classes.map(([name]) => name);
  const nameOfAnswer = place => (place < 0 ? "none" : names[place]);
  if (names.length > 25) {
    const rows = run.mistakes.map(([row, column, images]) => [
      names[row],
      el("span", {}, ...breakable(nameOfAnswer(column))),
      String(images),
    ]);
    const heads = [{ name: "class" }, { name: "answer" }, { name: "images", number: true }];
    return tableOf(heads, rows, { caption: "Most frequent mistakes after the last task" });
  }
  const counts = new Map(run.mistakes.map(([row, column, images]) => [`${row} ${column}`, images]));
  const columns = [...names.keys(), ...(run.mistakes.some(([, column]) => column < 0) ? [-1] : [])];
  const cell = (row, column) => {
    const [, images, right] = run.classes[row];
    const found = row === column ? right : (counts.get(`${row} ${column}`) ?? 0);
    const value = images ? (100 * found) / images : 0;
    const ink = value > 68 ? "paper" : value > 40 ? "middle" : "ink";
    const style = `background:color-mix(in oklab, var(--high) ${value.toFixed(0)}%, var(--low));color:var(--${ink})`;
    return el("td", { style, title: `${names[row]} answered as ${nameOfAnswer(column)}: ${found} of ${images}` }, found ? String(found) : "");
  };
  const rows = names.map((name, row) => el("tr", {}, head(name, "row"), ...columns.map(column => cell(row, column))));
  return matrixOf(
    crowdOf(columns.length),
    `Images by class (rows) and answer (columns) after the last task, rule ${run.rule}`,
    [head("class", "col"), ...columns.map(column => head(nameOfAnswer(column), "col"))],
    rows,
  );
}

function originOf(run) {
  const stream = DATA.streams[run.stream];
  const backbone = DATA.backbones[run.backbone];
  const input = flattened(backbone.input).map(pair => pair.join(" "));
  return facts("Stream and backbone", [
    ["stream", `${stream.name}@${stream.version}, ${stream.setting}`],
    ["tasks, classes", `${stream.n_tasks}, ${stream.n_classes}`],
    ...flattened(stream.options).map(([key, value]) => [`option ${key}`, value]),
    ["content checked", stream.verified ? "yes" : "no"],
    ["backbone", backbone.name],
    ["weights", backbone.weights_sha256],
    ["pre-training", backbone.pretraining],
    ["backbone input", input.join(", ")],
  ]);
}

function configurationOf(run) {
  const entries = Object.entries(DATA.configs[run.config]);
  const rows = entries.map(([key, [value, origin]]) => [el("code", {}, ...breakable(key)), shortValue(value), origin]);
  return scrolled(tableOf([{ name: "key" }, { name: "value" }, { name: "origin" }], rows), "Configuration");
}

function environmentOf(run) {
  const pairs = [
    ...flattened(DATA.environments[run.environment]),
    ["strategy", `${run.distribution}, version ${run.version}`],
    ["configuration hash", run.hash],
    ["seeds (order, init, data)", run.seeds.join(", ")],
    ["started", run.created],
    ["resumed", `${run.resumed} times`],
    ["run id", run.id],
    ["result_sha256", run.sha],
  ];
  return scrolled(facts(null, pairs), "Environment");
}

function runView(index) {
  const run = DATA.runs[index];
  if (!run) return [note("This report has no such run.")];
  const stream = DATA.streams[run.stream];
  const rules = Object.keys(run.rules);
  const about = [stream.label, DATA.backbones[run.backbone].name, `preset ${run.preset ?? "none"}`, run.precision];
  const warnings = [...(run.error ? [`failed: ${shortValue(run.error)}`] : []), ...run.warnings.map(shortValue)];
  const compare = el("a", { href: `#compare/${index}/${partnerOf(index)}` }, "Compare with another");
  const curves = rules.map(rule => ({ label: rule, points: curveOf(run, rule) }));
  return [
    el("h2", {}, nameOf(run)),
    el("p", { class: "facts" }, [...about, remarksOf(run)].filter(Boolean).join("; ")),
    el("p", { class: "actions" }, el("a", { href: "#runs" }, "All runs"), " · ", compare),
    ...warnings.map(warning),
    ...rules.map(rule => heatMap(run, stream, rule)),
    accuracyChart(curves, testedPartly(run, run.rule), "Accuracy against tasks, by rule"),
    cards(metricsTable(run), costTable(run), originOf(run)),
    ...(run.classes
      ? [touchable(answersTable(run), "Answers by class"), scrolled(classesTable(run), "Precision, recall and F1 by class")]
      : []),
    el("h3", {}, "Configuration"),
    configurationOf(run),
    el("h3", {}, "Environment and identity"),
    environmentOf(run),
  ].filter(Boolean);
}

// The run to compare with first: another of the same stream, else any other.
function partnerOf(index) {
  const others = DATA.runs.map((_, other) => other).filter(other => other !== index);
  return others.find(other => DATA.runs[other].stream === DATA.runs[index].stream) ?? others[0] ?? index;
}
